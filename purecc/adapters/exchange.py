"""Map LoRAs between the names and shapes of other programs and ours, exactly; pure tensors, no host.

Another format may name the rows of one of our layers apart: to_q, to_k and to_v of a fused qkv. Written, the rows of
`lora_up` are split and every part keeps the same `lora_down`. Read, parts with one `lora_down` are put together again;
parts with several are joined as blocks, up = diag(up_1, ..., up_n), down = [down_1; ...; down_n], of rank r_1 + ... +
r_n, which is the same change of the layer.
"""

# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .pairs import Pair, PairStyle, pairs_of

SHOWN = 3
"""How many names an error lists."""


@dataclass(frozen=True, eq=False)
class Place:
    """Where a layer that another format names lies in a layer of ours.

    Attributes:
        module: our layer, `diffusion_model.X`.
        start: its first row.
        size: number of rows; None: all.
        order: row i of our layer is row order[i] of the other's; None: the same order.
    """

    module: str
    start: int = 0
    size: int | None = None
    order: Tensor | None = None


class ExchangeError(ValueError):
    """Raised for a LoRA that no mapping covers; the message names the layers."""


def write(
    lora: Mapping[str, Tensor], places: Mapping[str, Place], style: PairStyle, preferred: Iterable[str] = ()
) -> dict[str, Tensor]:
    """Return a LoRA under the names of another format.

    Args:
        lora: as in `Adapter`.
        places: the other format's names, with what they stand for.
        style: ends of the keys; where it has no alpha, alpha / rank is multiplied into lora_up.
        preferred: names to take where several stand for the same layer.

    Raises:
        ExchangeError: the format has no name for a layer, or none for some of its rows.
    """
    by_module: dict[str, list[tuple[str, Place]]] = {}
    for name, place in places.items():
        by_module.setdefault(place.module, []).append((name, place))
    out: dict[str, Tensor] = {}
    missing = []
    for module, pair in pairs_of(lora).items():
        chosen = _names(by_module.get(module, []), len(pair.up), set(preferred))
        if chosen is None:
            missing.append(module.removeprefix("diffusion_model."))
            continue
        if not style.has_alpha:
            pair = pair.folded()
        for name, place in chosen:
            up = pair.up
            if place.order is not None:
                up = torch.empty_like(up).index_copy_(0, place.order, up)
            if place.size is not None:
                up = up[place.start : place.start + place.size]
            out.update(style.keys(name, Pair(up, pair.down, pair.alpha)))
    if missing:
        raise ExchangeError(f"it has no name for {_listed(missing)}")
    return out


def read(tensors: Mapping[str, Tensor], places: Mapping[str, Place], rows: Mapping[str, int]) -> dict[str, Tensor]:
    """Return a LoRA of another format under our names, as in `Adapter`; alpha is the rank where the file has none.

    Args:
        tensors: keys of the file.
        places: every name that is known, with what it stands for.
        rows: number of rows of each of our layers.

    Raises:
        ExchangeError: a key that is no LoRA's, a name that is not known, a shape that does not fit, or a layer that is
            named both as a whole and in parts.
    """
    found = pairs_of(tensors)
    if unknown := [name for name in found if name not in places]:
        raise ExchangeError(f"no layer of the model is called {_listed(unknown)}")
    parts: dict[str, list[tuple[Place, Pair, str]]] = {}
    for name, pair in found.items():
        parts.setdefault(places[name].module, []).append((places[name], pair, name))
    out: dict[str, Tensor] = {}
    for module, of_layer in parts.items():
        pair = _joined(module, sorted(of_layer, key=lambda part: part[0].start), rows[module])
        alpha = torch.tensor(float(pair.rank)) if pair.alpha is None else pair.alpha
        out |= {f"{module}.lora_up.weight": pair.up, f"{module}.lora_down.weight": pair.down, f"{module}.alpha": alpha}
    return out


def of_one_rank(lora: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the same change of every layer with one rank and alpha = rank, as an extractor needs it.

    Lower ranks are filled up with zeros; alpha / rank is multiplied into lora_up where layers differ in it.
    """
    found = pairs_of(lora)
    rank = max(pair.rank for pair in found.values())
    out: dict[str, Tensor] = {}
    for module, given in found.items():
        pair = given.folded()
        up = torch.nn.functional.pad(pair.up, (0, rank - pair.rank))
        down = torch.nn.functional.pad(pair.down, (0, 0, 0, rank - pair.rank))
        out |= {f"{module}.lora_up.weight": up, f"{module}.lora_down.weight": down}
        out[f"{module}.alpha"] = torch.tensor(float(rank))
    return out


def _names(names: list[tuple[str, Place]], rows: int, preferred: set[str]) -> list[tuple[str, Place]] | None:
    """Return the names that together stand for all rows of a layer, or None."""
    wholes = [(name, place) for name, place in names if place.size is None]
    for name, place in wholes:
        if name in preferred:
            return [(name, place)]
    parts: list[tuple[str, Place]] = []
    for name, place in sorted((n for n in names if n[1].size is not None), key=lambda n: n[1].start):
        if place.start == sum(p.size or 0 for _, p in parts):
            parts.append((name, place))
    if parts and sum(place.size or 0 for _, place in parts) == rows:
        return parts
    return wholes[:1] or None


def _joined(module: str, parts: Sequence[tuple[Place, Pair, str]], rows: int) -> Pair:
    """Return one pair for a layer of which a file names the whole or parts."""
    layer, names = module.removeprefix("diffusion_model."), [name for _, _, name in parts]
    spans = [(place.start, rows if place.size is None else place.size) for place, _, _ in parts]
    for (place, pair, name), (_, size) in zip(parts, spans, strict=True):
        if len(pair.up) != size or (place.order is not None and len(place.order) != size):
            raise ExchangeError(f"{name} has {len(pair.up)} rows and the model's layer {layer} has {size} there")
    if any(start + size > then for (start, size), (then, _) in itertools.pairwise(spans)):
        raise ExchangeError(f"{_listed(names)} name the same rows of {layer}")
    if len(parts) == 1 and parts[0][0].size is None:
        place, pair, _ = parts[0]
        return pair if place.order is None else Pair(pair.up[place.order], pair.down, pair.alpha)
    if len({pair.down.shape[1] for _, pair, _ in parts}) > 1:
        raise ExchangeError(f"{_listed(names)} take inputs of different sizes")
    pairs = [pair for _, pair, _ in parts]
    first = pairs[0]
    if all(torch.equal(pair.down, first.down) and pair.scale == first.scale for pair in pairs):
        up = first.up.new_zeros(rows, first.rank)
        for (start, size), pair in zip(spans, pairs, strict=True):
            up[start : start + size] = pair.up
        return Pair(up, first.down, first.alpha)
    if len({pair.scale for pair in pairs}) > 1:
        pairs = [pair.folded() for pair in pairs]
    rank = sum(pair.rank for pair in pairs)
    up, column = pairs[0].up.new_zeros(rows, rank), 0
    for (start, size), pair in zip(spans, pairs, strict=True):
        up[start : start + size, column : column + pair.rank] = pair.up
        column += pair.rank
    return Pair(up, torch.cat([pair.down for pair in pairs]), torch.tensor(pairs[0].scale * rank))


@dataclass(frozen=True, eq=False)
class Exported:
    """A LoRA in another format.

    Attributes:
        tensors: under the format's keys.
        note: JSON by which `restored` reads them without the model.
    """

    tensors: Mapping[str, Tensor]
    note: str


def export(
    lora: Mapping[str, Tensor], places: Mapping[str, Place], style: PairStyle, preferred: Iterable[str] = ()
) -> Exported:
    """Return an `Exported` LoRA; see `write`."""
    tensors = write(lora, places, style, preferred)
    names: dict[str, list] = {}
    for name in pairs_of(tensors):
        place = places[name]
        order = None if place.order is None else place.order.tolist()
        names[name] = [place.module, place.start, place.size, order]
    alphas = {} if style.has_alpha else {m: float(p.alpha) for m, p in pairs_of(lora).items() if p.alpha is not None}
    return Exported(tensors, json.dumps({"names": names, "alphas": alphas}))


def restored(tensors: Mapping[str, Tensor], note: str) -> dict[str, Tensor]:
    """Return the LoRA of which `export` made these tensors: bit for bit, if every alpha / rank is a power of two.

    Raises:
        ValueError: the tensors or the note were changed.
    """
    try:
        read_note = json.loads(note)
        places, rows = {}, dict[str, int]()
        found = pairs_of(tensors)
        for name, (module, start, size, order) in read_note["names"].items():
            places[name] = Place(module, start, size, None if order is None else torch.tensor(order))
            rows[module] = rows.get(module, 0) + len(found[name].up)
        alphas = {module: float(alpha) for module, alpha in read_note["alphas"].items()}
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise ExchangeError(f"its metadata purecc.exchange cannot be read ({error})") from error
    out = read(tensors, places, rows)
    for module, alpha in alphas.items():
        up = out[f"{module}.lora_up.weight"]
        scale = alpha / up.shape[1]
        if scale > 0 and math.frexp(scale)[0] == 0.5:
            out[f"{module}.lora_up.weight"], out[f"{module}.alpha"] = up / scale, torch.tensor(alpha)
    return out


def _listed(names: Sequence[str]) -> str:
    """Return names for a message, the first few of many."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
