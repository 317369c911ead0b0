// Numbers as short texts.

/** Three digits at most: 0.042, 1.3e-5. */
export function short(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e4) return value.toExponential(1).replace("e-0", "e-").replace("e+", "e");
  return String(Number(value.toPrecision(3)));
}

/** Seconds as 1:05 or 2:01:05. */
export function clock(seconds) {
  const [hours, minutes, rest] = [seconds / 3600, (seconds / 60) % 60, seconds % 60].map(Math.floor);
  const two = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/** Bytes in units of 2^30, one decimal. */
export const gigabytes = (bytes) => (bytes / 2 ** 30).toFixed(1);
