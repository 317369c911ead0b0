"""Start a real ComfyUI server on its own base directory, and end it with everything it started."""

import atexit
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACK_FOLDERS = ("nodes", "purecc", "web", "workflows", "subgraphs", "locales")


class ServerError(RuntimeError):
    """The server did not start, or ended too early; the message carries the end of its log."""


def free_port() -> int:
    """Return a TCP port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_free(port: int) -> bool:
    """Whether nobody listens on a TCP port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def has_nvidia() -> bool:
    """Whether a usable NVIDIA GPU answers."""
    tool = shutil.which("nvidia-smi")
    return tool is not None and subprocess.run([tool, "-L"], capture_output=True).returncode == 0


def link_pack(base: Path, pack: Path = ROOT) -> Path:
    """Make `base`/custom_nodes/purecc lead to the pack: a symbolic link, on Windows a junction, else a copy.

    A link that already leads there is kept; a copy is refreshed; a link that leads elsewhere is replaced. A real
    folder that is not a copy of ours is never touched.
    """
    link = base / "custom_nodes" / "purecc"
    if make_link(link, pack):
        return link
    copied = link / ".copied-by-purecc"
    if link.exists() and not copied.is_file():
        raise FileExistsError(f"{link} exists and is not this pack: move it away.")
    copy_pack(pack, link)
    copied.touch()
    return link


def make_link(link: Path, folder: Path) -> bool:
    """Make `link` lead to a folder, unless something else than a link is there; return whether it does."""
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.is_symlink() and link.resolve() != folder.resolve():
        link.unlink()
    if link.exists():
        return link.resolve() == folder.resolve()
    try:
        link.symlink_to(folder.resolve(), target_is_directory=True)
    except OSError:  # Windows without developer mode: a junction needs no rights
        if os.name != "nt":
            return False
        line = ["cmd", "/c", "mklink", "/J", str(link), str(folder.resolve())]
        return subprocess.run(line, capture_output=True).returncode == 0
    return True


def copy_pack(pack: Path, target: Path) -> None:
    """Copy what the host loads of the pack, anew."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in ("__init__.py", "pyproject.toml"):
        shutil.copy2(pack / name, target)
    for name in PACK_FOLDERS:
        if (pack / name).is_dir():
            shutil.copytree(pack / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))


class Server:
    """A ComfyUI server process: `with Server(...) as server: server.address`.

    Args:
        python: the interpreter that has the host's packages.
        comfyui: the ComfyUI tree. Nothing is written into it: models, input, output, user data and custom nodes
            are those of `base`, and compiled bytecode goes to `base` too, unless PYTHONPYCACHEPREFIX names a folder.
        base: ComfyUI's --base-directory, made when missing.
        port: 0 takes a free one.
        cpu: run on the CPU; None does so where no NVIDIA GPU answers.
        options: further arguments of ComfyUI's main.py.
    """

    def __init__(self, python: Path, comfyui: Path, base: Path, port: int = 0, cpu: bool | None = None, options=()):
        self.python, self.comfyui, self.base = Path(python), Path(comfyui), Path(base).resolve()
        self.port = port or free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.cpu = not has_nvidia() if cpu is None else cpu
        self.options = list(options)
        self.log = self.base / "server.log"
        self.process: subprocess.Popen | None = None

    def __enter__(self) -> "Server":
        self.start()
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def command(self) -> list[str]:
        """Return the command line of the server."""
        line = [str(self.python), "main.py", "--listen", "127.0.0.1", "--port", str(self.port)]
        line += ["--base-directory", str(self.base), "--disable-api-nodes", "--disable-auto-launch"]
        line += ["--database-url", "sqlite:///:memory:", *(["--cpu"] if self.cpu else []), *self.options]
        return line

    def start(self, timeout: float = 600.0) -> None:
        """Start the server and return once it answers; raise ServerError with the end of its log otherwise."""
        for name in ("custom_nodes", "input", "output", "models/loras", "models/embeddings"):
            (self.base / name).mkdir(parents=True, exist_ok=True)
        environment = {"PYTHONPYCACHEPREFIX": str(self.base / "pycache"), **os.environ}
        environment |= {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.command(),
                cwd=self.comfyui,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # ignored on Windows
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        atexit.register(self.stop)
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that exits by SIGTERM stop the server too
        try:
            self._wait(self.process, timeout)
        except BaseException:
            self.stop()
            raise

    def _wait(self, process: subprocess.Popen, timeout: float) -> None:
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if process.poll() is not None:
                raise ServerError(f"ComfyUI ended with code {process.returncode}.\n{self.tail()}")
            try:
                with urllib.request.urlopen(f"{self.address}/system_stats", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        raise ServerError(f"ComfyUI did not answer within {timeout:.0f} s.\n{self.tail()}")

    def wait(self) -> None:
        """Return once the server has ended; a sleep, unlike a wait for a process, hears Ctrl-C on Windows."""
        while self.process and self.process.poll() is None:
            time.sleep(0.5)

    def tail(self, lines: int = 40) -> str:
        """Return the last lines of the log, headed by where it lies."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.is_file() else ""
        return f"The end of {self.log}:\n" + "\n".join(text.splitlines()[-lines:])

    def stop(self, grace: float = 10.0) -> None:
        """End the server and its children; do nothing when it is not running."""
        process, self.process = self.process, None
        atexit.unregister(self.stop)
        if process is None:
            return
        if os.name == "nt":
            subprocess.run(["taskkill", "/T", "/F", "/PID", str(process.pid)], capture_output=True)
            process.wait()
            return
        for sent in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, sent)
                process.wait(grace)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue
        process.wait()
