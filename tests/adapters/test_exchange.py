"""LoRAs under other names and shapes: written exactly, read exactly, and refused by name."""

# SPDX-License-Identifier: GPL-3.0-or-later

import pytest
import torch

from purecc_pack.purecc.adapters import exchange
from purecc_pack.purecc.adapters.exchange import ExchangeError, Place
from purecc_pack.purecc.adapters.pairs import PairStyle, pairs_of

PLAIN = PairStyle(".lora_B.weight", ".lora_A.weight")
KOHYA = PairStyle(".lora_up.weight", ".lora_down.weight", has_alpha=True)
QKV, OUT, SWAPPED = (f"diffusion_model.x.{name}" for name in ("qkv", "out", "norm"))
ROWS = {QKV: 12, OUT: 4, SWAPPED: 6}
PLACES = {
    "t.to_q": Place(QKV, 0, 4),
    "t.to_k": Place(QKV, 4, 4),
    "t.to_v": Place(QKV, 8, 4),
    "t.qkv": Place(QKV),
    "t.to_out": Place(OUT),
    "t.out": Place(OUT),
    "t.norm": Place(SWAPPED, order=torch.tensor([3, 4, 5, 0, 1, 2])),
}
PARTS = {name: place for name, place in PLACES.items() if name != "t.qkv"}


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def lora(alpha=2.0, rank=2, modules=ROWS):
    out = {}
    for seed, module in enumerate(modules):
        out[f"{module}.lora_up.weight"] = draw(ROWS[module], rank, seed=seed)
        out[f"{module}.lora_down.weight"] = draw(rank, 5, seed=seed + 10)
        out[f"{module}.alpha"] = torch.tensor(alpha)
    return out


def change(tensors):
    """What a LoRA adds to each layer, in float64."""
    return {
        name: pair.up.double() @ pair.down.double() * (1.0 if pair.alpha is None else float(pair.alpha) / pair.rank)
        for name, pair in pairs_of(tensors).items()
    }


def same(a, b):
    assert a.keys() == b.keys()
    assert all(a[key].dtype == b[key].dtype and torch.equal(a[key], b[key]) for key in a)


def test_a_fused_layer_is_split_by_rows_and_its_parts_share_down():
    out = exchange.write(lora(), PARTS, PLAIN)
    up, down = lora()[f"{QKV}.lora_up.weight"], lora()[f"{QKV}.lora_down.weight"]
    for number, part in enumerate(("to_q", "to_k", "to_v")):
        assert torch.equal(out[f"t.{part}.lora_B.weight"], up[4 * number : 4 * number + 4])
        assert torch.equal(out[f"t.{part}.lora_A.weight"], down)
    assert "t.to_out.lora_B.weight" in out and "t.out.lora_B.weight" not in out
    assert torch.equal(out["t.norm.lora_B.weight"].roll(3, 0), lora()[f"{SWAPPED}.lora_up.weight"])


def test_a_preferred_name_is_taken():
    out = exchange.write(lora(), PLACES, PLAIN, ["t.out", "t.qkv"])
    assert {"t.qkv.lora_B.weight", "t.out.lora_B.weight"} < out.keys()
    assert not {"t.to_q.lora_B.weight", "t.to_out.lora_B.weight"} & out.keys()


@pytest.mark.parametrize("style", [PLAIN, KOHYA])
@pytest.mark.parametrize("alpha", [2.0, 1.0, 8.0, 3.0])
def test_what_is_written_comes_back_bit_for_bit(style, alpha):
    given = lora(alpha)
    made = exchange.export(given, PARTS, style)
    back = exchange.restored(made.tensors, made.note)
    if alpha == 3.0 and style is PLAIN:  # 3 / 2 is no power of two: the change comes back, to rounding
        assert back[f"{OUT}.alpha"] == 2.0
        for name, there in change(given).items():
            torch.testing.assert_close(change(back)[name], there, rtol=1e-6, atol=0)
    else:
        same(back, given)
    if alpha == 2.0 or style is KOHYA:
        same(exchange.read(made.tensors, PARTS, ROWS), given)


def test_parts_trained_apart_are_joined_as_blocks():
    parts = {}
    for seed, (name, rank, alpha) in enumerate([("to_q", 2, 2.0), ("to_k", 3, 6.0), ("to_v", 1, 0.5)]):
        parts[f"t.{name}.lora_up.weight"] = draw(4, rank, seed=seed)
        parts[f"t.{name}.lora_down.weight"] = draw(rank, 5, seed=seed + 5)
        parts[f"t.{name}.alpha"] = torch.tensor(alpha)
    out = exchange.read(parts, PLACES, ROWS)
    apart = change(parts)
    torch.testing.assert_close(change(out)[QKV], torch.cat([apart[f"t.{n}"] for n in ("to_q", "to_k", "to_v")]))
    assert out[f"{QKV}.lora_down.weight"].shape == (6, 5) and out[f"{QKV}.alpha"] == 6.0


def test_rows_that_no_part_names_stay():
    parts = {k: v for k, v in exchange.write(lora(), PARTS, PLAIN).items() if ".to_k." not in k}
    found = change(exchange.read(parts, PLACES, ROWS))[QKV]
    expected = change(lora())[QKV].clone()
    expected[4:8] = 0
    assert torch.equal(found, expected)


def test_one_rank_is_the_same_change():
    mixed = {**lora(alpha=3.0), **lora(rank=5, alpha=5.0, modules=[OUT])}
    out = exchange.of_one_rank(mixed)
    assert {len(out[key]) for key in out if key.endswith("down.weight")} == {5}
    assert {float(out[key]) for key in out if key.endswith("alpha")} == {5.0}
    for name, there in change(mixed).items():
        torch.testing.assert_close(change(out)[name], there, rtol=1e-6, atol=1e-6)


SPELLINGS = [
    (".lora_up.weight", ".lora_down.weight"),
    (".lora_B.default.weight", ".lora_A.default.weight"),
    (".lora.up.weight", ".lora.down.weight"),
    ("_lora.up.weight", "_lora.down.weight"),
    (".lora_linear_layer.up.weight", ".lora_linear_layer.down.weight"),
    (".lora_B", ".lora_A"),
]


@pytest.mark.parametrize(("up", "down"), SPELLINGS)
def test_every_spelling_of_a_pair_is_read(up, down):
    out = exchange.read({f"t.out{up}": draw(4, 2), f"t.out{down}": draw(2, 5, seed=1)}, PLACES, ROWS)
    assert torch.equal(out[f"{OUT}.lora_up.weight"], draw(4, 2)) and out[f"{OUT}.alpha"] == 2.0


def test_a_convolution_is_read_as_a_matrix():
    out = exchange.read(
        {"t.out.lora_up.weight": draw(4, 2, 1, 1), "t.out.lora_down.weight": draw(2, 3, 3, 3)}, PLACES, ROWS
    )
    assert out[f"{OUT}.lora_down.weight"].shape == (2, 27)


GOOD = {"t.out.lora_B.weight": draw(4, 2), "t.out.lora_A.weight": draw(2, 5)}


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"y.lora_B.weight": draw(4, 2), "y.lora_A.weight": draw(2, 5)}, "no layer of the model is called y$"),
        ({f"y{k}.lora_{m}.weight": draw(2, 2) for k in range(5) for m in "AB"}, "y0, y1, y2 and 2 more"),
        ({**GOOD, "t.out.dora_scale": draw(4)}, r"t\.out\.dora_scale is not part of a plain LoRA"),
        ({"t.out.hada_w1_a": draw(4, 2)}, "hada_w1_a is not part"),
        ({"t.out.lora_B.weight": draw(4, 2)}, r"t\.out lacks one of its two matrices"),
        ({**GOOD, "t.out.lora_A.weight": draw(3, 5)}, r"\(4, 2\) and \(3, 5\)"),
        ({**GOOD, "t.out.lora_up.weight": draw(4, 2)}, "not part of a plain LoRA"),
        ({**GOOD, "t.to_out.lora_B.weight": draw(4, 2), "t.to_out.lora_A.weight": draw(2, 5)}, "name the same rows"),
        (
            {
                f"t.{n}.lora_{m}.weight": draw(*s)
                for n, r in (("qkv", 12), ("to_q", 4))
                for m, s in (("B", (r, 2)), ("A", (2, 5)))
            },
            r"t\.(qkv|to_q), t\.(qkv|to_q) name the same rows of x\.qkv",
        ),
        (
            {"t.to_q.lora_B.weight": draw(5, 2), "t.to_q.lora_A.weight": draw(2, 5)},
            "t.to_q has 5 rows and .* x.qkv has 4",
        ),
    ],
)
def test_what_no_mapping_covers_is_named(tensors, message):
    with pytest.raises(ValueError, match=message):
        exchange.read(tensors, PLACES, ROWS)


def test_layers_without_a_name_are_named():
    with pytest.raises(ExchangeError, match=r"no name for x\.qkv, x\.norm$"):
        exchange.write(lora(), {"t.out": Place(OUT), "t.to_q": Place(QKV, 0, 4)}, PLAIN)
