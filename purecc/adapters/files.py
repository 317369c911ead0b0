"""Save and load adapters as safetensors: a LoRA for any loader, and an embedding that `embedding:NAME` finds.

Both files carry the same metadata and the same id, a hash of all tensors. Loading thus checks that they belong together
and are complete. No other format is read, because pickles can run code.
"""

# SPDX-License-Identifier: GPL-3.0-or-later

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from torch import Tensor

from . import picture, transaction
from .adapter import LAYERS_KEY, TEXT_KEY, Adapter, RunRecord, check_scales, fingerprint, is_changed, metadata, signed
from .exchange import Exported, restored
from .safetensors_io import AdapterFileError, read_header, read_tensors, serialise

__all__ = ["FORMAT", "Adapter", "AdapterFileError", "RunRecord", "is_foreign_lora", "load", "metadata"]
__all__ += ["read_metadata", "save"]

FORMAT = 1

_ANY_LORA = re.compile(r"lora_(?:up|down|A|B)\b|lora\.(?:up|down)|hada_w|lokr_w")


def save(
    adapter: Adapter,
    loras_dir: Path | str,
    embeddings_dir: Path | str,
    overwrite: bool = False,
    exported: Exported | None = None,
) -> tuple[Path, Path | None]:
    """Write NAME.safetensors to both folders; the embedding only if there are tokens or layer-wise vectors.

    The adapter's picture is written as NAME.png beside the LoRA, unless there is another that this pack did not write.
    Both files are complete on disk before either gets its name; a failure leaves the folders unchanged, and after a
    crash the old pair or the new one can be loaded (see `transaction`). With `overwrite`, an adapter without an
    embedding also removes the embedding of the adapter it replaces; likewise without a picture.

    Args:
        adapter: the adapter.
        loras_dir: folder of the LoRA.
        embeddings_dir: folder of the embedding.
        overwrite: whether files of that name are replaced.
        exported: its LoRA in another format, to be written instead.

    Returns:
        The paths of the LoRA and of the embedding (None without one).

    Raises:
        FileExistsError: another file of that name exists and `overwrite` is off, or `embedding:NAME` would find another
            file in the embeddings folder.
        OSError: a folder cannot be written; names the file, its size and the room there is.
    """
    lora_path, embedding_path = (Path(folder) / f"{adapter.name}.safetensors" for folder in (loras_dir, embeddings_dir))
    if lora_path.resolve() == embedding_path.resolve():
        raise ValueError(
            f"{loras_dir} cannot hold both the LoRA and the embedding of {adapter.name!r}. Use two folders."
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
    lora = adapter.lora
    if exported is not None:
        lora = exported.tensors
        about["purecc.exchange"] = exported.note
        about["purecc.exchange_id"] = fingerprint({**lora, **adapter.text_lora, **adapter.embedding})
    lora, about = {**lora, **adapter.text_lora}, signed(about)
    new = {lora_path: serialise(lora, {**about, "purecc.part": "lora"})}
    if adapter.embedding:
        new[embedding_path] = serialise(adapter.embedding, {**about, "purecc.part": "embedding"})
    with transaction.named(lora_path, len(new[lora_path])):
        recover([loras_dir], [embeddings_dir])
        contents = _changes(adapter, new, (lora_path, embedding_path), overwrite)
    transaction.publish(contents)
    return lora_path, embedding_path if adapter.embedding else None


def _changes(
    adapter: Adapter, new: Mapping[Path, bytes], paths: tuple[Path, Path], overwrite: bool
) -> dict[Path, bytes | None]:
    """Return what a save changes of the files that are there; see `save`."""
    (lora_path, embedding_path), contents = paths, dict[Path, bytes | None](new)
    if adapter.embedding:
        _refuse_double(adapter.name, embedding_path)
    elif overwrite and (replaced := _id(lora_path, "lora")) and replaced == _id(embedding_path, "embedding"):
        contents[embedding_path] = None
    for path, content in list(contents.items()):
        with transaction.named(path, len(content or b"")):
            path.parent.mkdir(parents=True, exist_ok=True)
            there = path.read_bytes() if content is not None and path.exists() else None
        if there is not None and there == content:
            del contents[path]
        elif there is not None and not overwrite:
            raise FileExistsError(f"{path} already exists with other contents. Choose another name, or overwrite.")
    if lora_path in contents:
        contents |= picture.changes(lora_path.with_suffix(".png"), adapter.picture)
    return contents


def load(
    lora_path: Path | str, embedding_path: Path | str | None = None, embeddings_dirs: Iterable[Path | str] = ()
) -> Adapter:
    """Read an adapter that `save` wrote.

    Args:
        lora_path: the LoRA.
        embedding_path: its embedding; by default searched in `embeddings_dirs` and their subfolders, under the LoRA's
            file name and the name it was trained under.
        embeddings_dirs: the host's folders of embeddings.

    Returns:
        The adapter, named after its embedding file, because prompts find it by that name.

    Raises:
        AdapterFileError: a file is not safetensors, truncated, changed, not an adapter of ours or of another format, or
            the embedding is missing or belongs to another adapter.
    """
    lora_path = Path(lora_path)
    about = read_metadata(lora_path)
    if about["purecc.part"] != "lora":
        raise AdapterFileError(f"{lora_path} is the embedding of an adapter. Choose its LoRA, in the loras folder.")
    lora, name = read_tensors(lora_path), about["purecc.name"]
    embedding: dict[str, Tensor] = {}
    if about["purecc.has_embedding"] == "true":
        if embedding_path:
            paths, folders, names = [Path(embedding_path)], [Path(embedding_path).parent], {Path(embedding_path).name}
        else:
            folders, names = (
                list(map(Path, embeddings_dirs)),
                {f"{stem}.safetensors" for stem in (lora_path.stem, name)},
            )
            paths = _candidates(names, folders)
        places = {path: path for path in paths} | {p: to for p, to, _ in transaction.left_over(folders, names)}
        path = _partner(lora_path, name, about["purecc.id"], list(places))
        target = places[path]
        embedding, name = read_tensors(path), target.stem
    changed, note = is_changed(about), about.pop("purecc.exchange", None)
    identity = about["purecc.id"] if note is None else about.pop("purecc.exchange_id", None)
    if fingerprint({**lora, **embedding}) != identity or changed:
        raise AdapterFileError(
            f"{lora_path} or its embedding was damaged or changed after it was saved. Get both files again."
        )
    text_lora = {key: lora.pop(key) for key in list(lora) if TEXT_KEY.match(key)}
    layers = embedding.pop(LAYERS_KEY, None)
    del about["purecc.part"]
    try:
        if note is not None:
            lora = restored(lora, note)
        if about["purecc.kind"] == "extractor":
            check_scales(lora)
        shown = picture.ours(lora_path.with_suffix(".png"))
        return Adapter(about["purecc.kind"], name, lora, embedding, layers, about, text_lora, shown)
    except ValueError as error:
        raise AdapterFileError(f"{lora_path} is not a usable adapter. {error}") from error


def recover(loras_dirs: Iterable[Path | str], embeddings_dirs: Iterable[Path | str]) -> None:
    """Finish or undo the saves of killed processes in these folders, and remove what they left."""
    transaction.recover(map(Path, loras_dirs), map(Path, embeddings_dirs), _id)


def read_metadata(path: Path | str) -> dict[str, str]:
    """Read the metadata of one of our files without its tensors.

    Raises:
        AdapterFileError: as `load`.
    """
    path = Path(path)
    return _parse_metadata(path, read_header(path))


def is_foreign_lora(path: Path) -> bool:
    """Return whether a file holds a LoRA that this pack did not save.

    Raises:
        AdapterFileError: the file is no safetensors, truncated or damaged.
    """
    header = read_header(path)
    ours = "purecc.format" in header.pop("__metadata__", {})
    return not ours and any(_ANY_LORA.search(key) for key in header)


def _parse_metadata(path: Path, header: dict) -> dict[str, str]:
    about = header.pop("__metadata__", {})
    if "purecc.format" not in about:
        if any(_ANY_LORA.search(key) for key in header):
            raise AdapterFileError(f"{path} is a LoRA that PureCC did not make. Load it with the stock Load LoRA node.")
        raise AdapterFileError(f"{path} is not a PureCC adapter. Choose a file that Save Adapter wrote.")
    if about["purecc.format"] != str(FORMAT):
        raise AdapterFileError(
            f"{path} has adapter format {about['purecc.format']}, this PureCC reads format {FORMAT}. Update the pack."
        )
    missing = {"purecc.id", "purecc.kind", "purecc.name", "purecc.part", "purecc.has_embedding"} - about.keys()
    if missing:
        raise AdapterFileError(
            f"{path} lacks the metadata {', '.join(sorted(missing))}, so another tool rewrote it. Use the original."
        )
    return about


def _id(path: Path, part: str) -> str | None:
    """Return the id of a file of ours that is this part, or None."""
    try:
        about = _parse_metadata(path, read_header(path, named=False))
    except (AdapterFileError, OSError):
        return None
    return about["purecc.id"] if about["purecc.part"] == part else None


def _candidates(names: set[str], folders: Iterable[Path]) -> list[Path]:
    return [path for folder in folders for path in transaction.walk(folder) if path.name in names]


def _partner(lora_path: Path, name: str, identity: str, paths: Sequence[Path]) -> Path:
    """Return the embedding that carries the LoRA's id."""
    if not paths:
        raise AdapterFileError(
            f"{lora_path} needs its embedding, but the embeddings folders have no {name}.safetensors. Put it there."
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
    """Refuse a name for which the host, which searches in no fixed order, could find another file."""
    names = {name + ending for ending in ("", ".safetensors", ".pt", ".bin")}
    for path in transaction.walk(target.parent):
        if path.name == name if path.parent == target.parent else path.name in names:
            raise FileExistsError(f"embedding:{name} would also find {path}. Choose another name, or move that file.")
