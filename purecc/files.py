"""Adapters as safetensors: a LoRA any loader takes, and beside it an embedding that `embedding:NAME` finds.

Both files carry the same metadata and the same id, a hash of all the tensors, so that a load knows that they belong
together and are whole. No other format is read: pickles can run code.
"""

# SPDX-License-Identifier: GPL-3.0-or-later

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from .adapter import LAYERS_KEY, Adapter, fingerprint, metadata
from .container import AdapterFileError, publish, read_header, read_tensors, serialise

__all__ = ["FORMAT", "Adapter", "AdapterFileError", "load", "metadata", "read_metadata", "save"]

FORMAT = 1

_ANY_LORA = re.compile(r"lora_(?:up|down|A|B)\b|lora\.(?:up|down)|hada_w|lokr_w")


def save(
    adapter: Adapter, loras_dir: Path | str, embeddings_dir: Path | str, overwrite: bool = False
) -> tuple[Path, Path | None]:
    """Writes NAME.safetensors into both folders, the embedding only if there are tokens or layer-wise vectors.

    Both files are complete on the disk before either gets its name; after a failure the folders are as before. With
    `overwrite` an adapter without an embedding also removes the embedding of the adapter it replaces.

    Returns:
        The paths of the LoRA and of the embedding (None without one).

    Raises:
        FileExistsError: other files of that name are there and `overwrite` is off, or `embedding:NAME` would find
            another file of the embeddings folder.
        OSError: a folder cannot be written to.
    """
    lora_path, embedding_path = (Path(folder) / f"{adapter.name}.safetensors" for folder in (loras_dir, embeddings_dir))
    if lora_path.resolve() == embedding_path.resolve():
        raise ValueError(
            f"{loras_dir} cannot hold both the LoRA and the embedding of {adapter.name!r}: use two folders."
        )
    about = {
        **adapter.metadata,
        "purecc.format": str(FORMAT),
        "purecc.kind": adapter.kind,
        "purecc.name": adapter.name,
        "purecc.needs_apply": str(adapter.needs_apply).lower(),
        "purecc.has_embedding": str(bool(adapter.embedding)).lower(),
        "purecc.id": adapter.id,
    }
    contents: dict[Path, bytes | None] = {lora_path: serialise(adapter.lora, {**about, "purecc.part": "lora"})}
    if adapter.embedding:
        _refuse_double(adapter.name, embedding_path)
        contents[embedding_path] = serialise(adapter.embedding, {**about, "purecc.part": "embedding"})
    elif overwrite and (replaced := _id(lora_path, "lora")) and replaced == _id(embedding_path, "embedding"):
        contents[embedding_path] = None
    for path, content in list(contents.items()):
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is not None and path.exists():
            if path.read_bytes() == content:
                del contents[path]
            elif not overwrite:
                raise FileExistsError(
                    f"{path} is there already and is another file: choose another name, or overwrite."
                )
    publish(contents)
    return lora_path, embedding_path if adapter.embedding else None


def load(
    lora_path: Path | str, embedding_path: Path | str | None = None, embeddings_dirs: Iterable[Path | str] = ()
) -> Adapter:
    """Reads an adapter that `save` wrote.

    Args:
        lora_path: the LoRA.
        embedding_path: the embedding that belongs to it; if not given it is looked for in `embeddings_dirs` and their
            subfolders, under the file name of the LoRA and the name it was trained under.
        embeddings_dirs: the host's folders of embeddings.

    Returns:
        The adapter, called as its embedding file is, because that is the name prompts find.

    Raises:
        AdapterFileError: not a safetensors file, truncated or changed, not an adapter of ours, of another format, or
            the embedding is missing or belongs to another adapter.
    """
    lora_path = Path(lora_path)
    about = read_metadata(lora_path)
    if about["purecc.part"] != "lora":
        raise AdapterFileError(f"{lora_path} is the embedding of an adapter: choose its LoRA, in the loras folder.")
    lora, embedding, name = read_tensors(lora_path), {}, about["purecc.name"]
    if about["purecc.has_embedding"] == "true":
        paths = [Path(embedding_path)] if embedding_path else _candidates({lora_path.stem, name}, embeddings_dirs)
        path = _partner(lora_path, name, about["purecc.id"], paths)
        embedding, name = read_tensors(path), path.stem
    if fingerprint({**lora, **embedding}) != about["purecc.id"]:
        raise AdapterFileError(f"{lora_path} or its embedding was damaged or changed after it was saved: get it again.")
    layers = embedding.pop(LAYERS_KEY, None)
    del about["purecc.part"]
    try:
        return Adapter(about["purecc.kind"], name, lora, embedding, layers, about)
    except ValueError as error:
        raise AdapterFileError(f"{lora_path} is not a usable adapter. {error}") from error


def read_metadata(path: Path | str) -> dict[str, str]:
    """Reads the metadata of one of our files without its tensors.

    Raises:
        AdapterFileError: as `load`.
    """
    path = Path(path)
    header = read_header(path)
    about = header.pop("__metadata__", {})
    if "purecc.format" not in about:
        if any(_ANY_LORA.search(key) for key in header):
            raise AdapterFileError(f"{path} is a LoRA that PureCC did not make: load it with the stock Load LoRA node.")
        raise AdapterFileError(f"{path} is not a PureCC adapter: choose a file that Save Adapter wrote.")
    if about["purecc.format"] != str(FORMAT):
        raise AdapterFileError(
            f"{path} has adapter format {about['purecc.format']}, this PureCC reads format {FORMAT}: update the pack."
        )
    missing = {"purecc.id", "purecc.kind", "purecc.name", "purecc.part", "purecc.has_embedding"} - about.keys()
    if missing:
        raise AdapterFileError(f"{path} lacks the metadata {', '.join(sorted(missing))}: another tool rewrote it.")
    return about


def _id(path: Path, part: str) -> str | None:
    """Returns the id of a file of ours that is this part, None for anything else."""
    try:
        about = read_metadata(path)
    except AdapterFileError:
        return None
    return about["purecc.id"] if about["purecc.part"] == part else None


def _walk(folder: Path | str) -> Iterator[Path]:
    """All files below a folder; through links, as the host does."""
    for root, _, names in os.walk(folder, followlinks=True):
        yield from (Path(root) / name for name in sorted(names))


def _candidates(stems: set[str], folders: Iterable[Path | str]) -> list[Path]:
    names = {f"{stem}.safetensors" for stem in stems}
    return [path for folder in folders for path in _walk(folder) if path.name in names]


def _partner(lora_path: Path, name: str, identity: str, paths: Sequence[Path]) -> Path:
    """Returns the embedding that carries the LoRA's id."""
    if not paths:
        raise AdapterFileError(
            f"{lora_path} needs its embedding, and the embeddings folders have no {name}.safetensors: put it there."
        )
    for path in paths:
        if _id(path, "embedding") == identity:
            return path
    others = []
    for path in paths:
        try:
            read_metadata(path)
            others.append(f"{path} was saved with another adapter.")
        except AdapterFileError as error:
            others.append(str(error))
    raise AdapterFileError(f"{lora_path} needs the embedding that was saved with it. {' '.join(others)}")


def _refuse_double(name: str, target: Path) -> None:
    """The host searches subfolders in no fixed order, and takes a file without an ending first."""
    names = {name + ending for ending in ("", ".safetensors", ".pt", ".bin")}
    for path in _walk(target.parent):
        if path.name == name if path.parent == target.parent else path.name in names:
            raise FileExistsError(f"embedding:{name} would also find {path}: choose another name, or move that file.")
