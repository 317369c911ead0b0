"""Damaged and lying files: adapters, states, what the base model drew, and LoRAs of other programs."""

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from adapter_files import make

from faults import saves
from faults.judge import EITHER, Seen
from purecc_pack.purecc.adapters import files
from purecc_pack.purecc.adapters.adapter import fingerprint
from purecc_pack.purecc.adapters.safetensors_io import AdapterFileError, read_header, read_tensors
from purecc_pack.purecc.host.models.adapter_folders import adapter_id, adapter_names
from purecc_pack.purecc.host.training.drawn_cache import DrawnCache
from purecc_pack.purecc.host.training.state_files import StateFolder

LIMIT = 20.0
"""Seconds that one fault may take."""

LIES: tuple[Any, ...] = (None, 0, -1, 2**63, 1e300, "x", "F64", "I8", [], [0], [0, 2**60], [-1, 1], {}, True, "true")
LIES += ("no", [[[]]], "9" * 5000)


def cut(content: bytes, random: Random) -> bytes:
    """Truncate."""
    return content[: random.randrange(len(content))]


def longer(content: bytes, random: Random) -> bytes:
    """Append something."""
    return content + random.randbytes(random.choice((1, 8, 4096)))


def flipped(content: bytes, random: Random) -> bytes:
    """Change some bytes anywhere."""
    out = bytearray(content)
    for _ in range(random.choice((1, 1, 2, 16))):
        out[random.randrange(len(out))] ^= 1 << random.randrange(8)
    return bytes(out)


def blanked(content: bytes, random: Random) -> bytes:
    """Fill a stretch with zeros, as a disk does after a power loss."""
    start = random.randrange(len(content))
    length = random.randrange(1, len(content) - start + 1)
    return content[:start] + bytes(length) + content[start + length :]


def other(content: bytes, random: Random) -> bytes:
    """Put another kind of file there."""
    return random.choice((b"", b"PK\x03\x04" + bytes(60), b"\x80\x02}q\x00.", b"{}", random.randbytes(999), bytes(64)))


def length_lies(content: bytes, random: Random) -> bytes:
    """Let the header's length lie."""
    length = random.choice((0, 1, len(content), 2**31, 2**63 - 1, 2**64 - 1, random.randrange(len(content))))
    return length.to_bytes(8, "little") + content[8:]


def header_lies(content: bytes, random: Random) -> bytes:
    """Change, remove or rename a value of the header or of its metadata."""
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    place = header
    if random.random() < 0.8:
        place = header[random.choice(list(header))]
    key = random.choice(list(place))
    what = random.randrange(4)
    if what == 0:
        del place[key]
    elif what == 1:
        place[random.choice(("x", "", "a/b", key + " ", "\ud800"))] = place.pop(key)
    elif what == 2:
        place[key] = random.choice(LIES)
    else:
        place[key] = json.dumps(random.choice(LIES))
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[start:]


DAMAGES = (cut, longer, flipped, blanked, other, length_lies, header_lies, header_lies, header_lies)


def _adapter(folder: Path, damage: Callable[[bytes], bytes], random: Random) -> str:
    good = make()
    paths = [path for path in files.save(good, folder / "loras", folder / "embeddings") if path]
    path = random.choice(paths)
    path.write_bytes(damage(path.read_bytes()))
    loaded = files.load(paths[0], embeddings_dirs=[folder / "embeddings"])
    same = loaded.id == good.id and fingerprint({**loaded.lora}) == fingerprint({**good.lora})
    return "" if same else "another adapter was loaded"


def _listed(folder: Path, damage: Callable[[bytes], bytes], random: Random) -> str:
    """The lists of loaders have every other adapter, whatever a file of the folder holds."""
    import folder_paths

    loras = Path(folder_paths.get_folder_paths("loras")[0])
    embeddings = Path(folder_paths.get_folder_paths("embeddings")[0])
    _, bad = (files.save(make(name), loras, embeddings, overwrite=True) for name in ("good", "bad"))
    bad[0].write_bytes(damage(bad[0].read_bytes()))
    os.utime(bad[0], ns=(random.getrandbits(60),) * 2)
    folder_paths.filename_list_cache.pop("loras", None)
    names = adapter_names()
    if "good.safetensors" not in names:
        return "another adapter is not listed"
    if "bad.safetensors" in names:
        adapter_id("bad.safetensors")
    return ""


def _foreign(folder: Path, damage: Callable[[bytes], bytes], random: Random) -> str:
    from safetensors.torch import save_file

    path = folder / "foreign.safetensors"
    save_file({key: value.contiguous() for key, value in make().lora.items()}, path)
    path.write_bytes(damage(path.read_bytes()))
    files.is_foreign_lora(path)
    read_header(path)
    read_tensors(path)
    return ""


def _state(folder: Path, damage: Callable[[bytes], bytes], random: Random) -> str:
    states = StateFolder(folder)
    path = states.write(saves.state(3), saves.WHO, {"name": "run", "total": 9, "extra": {}, "prompt": ""})
    path.write_bytes(damage(path.read_bytes()))
    good = saves.state(3)
    for file in states.all():
        try:
            read = file.read()
        except AdapterFileError as error:
            if str(path) not in str(error):
                raise
            continue
        if fingerprint(read.learned) != fingerprint(good.learned) or read.step != 3:
            return "another state was read"
    return ""


def _drawn(folder: Path, damage: Callable[[bytes], bytes], random: Random) -> str:
    cache, save = DrawnCache(folder), saves.SAVES["pool and masks"]
    save.save(folder)
    path = next(folder.glob("*.safetensors"))
    path.write_bytes(damage(path.read_bytes()))
    return "" if cache.get("key") is None or save.found(folder) == "new" else "something else was read"


FILES = {"adapter": _adapter, "list": _listed, "foreign LoRA": _foreign, "state": _state, "pool and masks": _drawn}


def attempt(kind: str, seed: int) -> Seen:
    """Damage a file and read it."""
    random = Random(seed)
    with tempfile.TemporaryDirectory() as name:
        how = random.choice(DAMAGES)
        try:
            wrong = FILES[kind](Path(name), lambda content: how(content, random), random)
        except Exception as error:
            return Seen(EITHER, str(error).replace(name, "FOLDER"), type(error).__name__, (".safetensors",))
        return Seen(EITHER, wrong=wrong and f"{how.__name__}: {wrong}")


@contextmanager
def opened(random: Random) -> Iterator[Iterator[tuple[str, Callable[[], Seen]]]]:
    """Yield damages without end."""

    def cases() -> Iterator[tuple[str, Callable[[], Seen]]]:
        while True:
            kind, seed = random.choice(list(FILES)), random.getrandbits(40)
            yield f"{kind} {seed}", partial(attempt, kind, seed)

    yield cases()
