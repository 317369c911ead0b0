"""Layer-wise vectors of applied adapters against a plain computation."""

import contextlib
from dataclasses import replace

import pytest
import runs
import torch
from applied import applied, differ, image

pytestmark = pytest.mark.slow


def vectors(seed):
    return 3 * torch.randn(2, 128, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def first(learned):
    """What stage 2 left, with layer-wise vectors that stand out."""
    return replace(learned.adapter, layers=vectors(1))


@pytest.fixture(scope="module")
def second(models, dataset):
    """Another adapter with layer-wise vectors, of the same class word."""
    out = runs.customise(models, dataset, runs.job("second", seed=9, lr=3e-2, embedding_lr=3e-2))
    return replace(out.adapter, layers=vectors(2))


@contextlib.contextmanager
def inserted(model, vectors, rows, of=(0,)):
    """Vectors [L, hidden] at these rows of the text stream of positive (0) or negative (1) samples, by plain hooks."""

    def hook(vector):
        def before(_, args, kwargs):
            text = args[0].clone()
            kinds = kwargs["transformer_options"]["cond_or_uncond"]
            for k, part in zip(kinds, text.chunk(len(kinds)), strict=True):
                for row, weight in rows.items() if k in of else ():
                    part[:, row] = (1 - weight) * part[:, row] + weight * vector
            return (text, *args[1:]), kwargs

        return before

    blocks = model.model.diffusion_model.joint_blocks
    handles = [b.register_forward_pre_hook(hook(v), with_kwargs=True) for b, v in zip(blocks, vectors, strict=True)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def test_cond_and_uncond_share_a_batch(models, first):
    model, clip = applied(models, first)
    x, t = torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(2)), torch.tensor([0.6])
    conds = [runs.encode(clip, p) for p in ("a embedding:pure robot", "a lake", "the embedding:pure")]
    alone = torch.cat([runs.velocity(model, x, t, cond) for cond in conds])
    sizes = []
    handle = model.model.diffusion_model.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))
    try:
        together = runs.velocity(model, x, t, *conds)
    finally:
        handle.remove()
    assert sizes == [3]
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)
    unmarked = runs.velocity(model, x, t, *[runs.encode(models.clip, p) for p in ("a robot", "a lake", "the")])
    assert differ(together[0], unmarked[0]) and differ(together[2], unmarked[2])


def test_a_concept_beyond_the_first_window(models, first):
    """In a prompt of more than 75 tokens the vector is in the second part of the text stream."""
    prompt = "a tall tree " * 30 + "embedding:pure robot"  # 90 tokens before [v], 75 of them in the first 77 rows
    bare = merged(models, first)
    assert runs.encode(bare[1], prompt)[0][0].shape[1] == 154
    with inserted(bare[0], first.layers, {77 + 1 + 15: 1.0}):
        expected = image(bare, prompt)
    torch.testing.assert_close(image(applied(models, first), prompt), expected, rtol=1e-4, atol=1e-4)
    assert differ(expected, image(bare, prompt))


def merged(models, *adapters):
    """The adapters without their layer-wise vectors: LoRA and token alone."""
    return applied(models, *[replace(a, layers=None) for a in adapters])


def nodes_under_test():
    import nodes

    return {
        "as encoded": (lambda a, b: a, {2: 1.0}),
        "concat": (lambda a, b: nodes.ConditioningConcat().concat(a, a)[0], {2: 1.0, 79: 1.0}),
        "concat after another": (lambda a, b: nodes.ConditioningConcat().concat(b, a)[0], {79: 1.0}),
        "combine": (lambda a, b: nodes.ConditioningCombine().combine(a, a)[0], {2: 1.0}),
        "average with itself": (lambda a, b: nodes.ConditioningAverage().addWeighted(a, a, 0.29)[0], {2: 1.0}),
        "average with another": (lambda a, b: nodes.ConditioningAverage().addWeighted(a, b, 0.3)[0], {2: 0.3}),
        "area": (lambda a, b: nodes.ConditioningSetArea().append(a, 32, 64, 0, 0, 1.0)[0], {2: 1.0}),
        "timestep range": (lambda a, b: nodes.ConditioningSetTimestepRange().set_range(a, 0.0, 0.4)[0], {2: 1.0}),
        "zero out": (lambda a, b: nodes.ConditioningZeroOut().zero_out(a)[0], {}),
    }


NODES = ["as encoded", "concat", "concat after another", "combine", "average with itself", "average with another"]
NODES += ["area", "timestep range", "zero out"]


@pytest.mark.parametrize("name", NODES)
def test_marks_pass_through_stock_nodes(models, first, name):
    through, rows = nodes_under_test()[name]
    images = []
    for (model, clip), at in ((applied(models, first), {}), (merged(models, first), rows)):
        with torch.inference_mode():
            positive = through(runs.encode(clip, "a embedding:pure robot"), runs.encode(clip, "a lake at dawn"))
        with inserted(model, first.layers, at):
            images.append(runs.sample(model, positive, runs.encode(clip, "blurred")))
    torch.testing.assert_close(*images, rtol=1e-4, atol=1e-4)
    if rows:
        assert differ(images[0], runs.sample(model, positive, runs.encode(clip, "blurred"))), "the vectors are seen"


@pytest.mark.parametrize("percent", [29, 50, 83])
def test_an_average_of_marks_is_a_mark(models, first, percent):
    """Rounding must not make a row of CLIP look like a row of T5."""
    import nodes

    _, clip = applied(models, first)
    model, _ = applied(models, first)
    x, t = torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(2)), torch.tensor([0.6])
    cond = runs.encode(clip, "a embedding:pure robot")
    with torch.inference_mode():
        average = nodes.ConditioningAverage().addWeighted(cond, cond, percent / 100)[0]
    torch.testing.assert_close(
        runs.velocity(model, x, t, average), runs.velocity(model, x, t, cond), rtol=1e-4, atol=1e-4
    )


def test_two_layer_wise_adapters_on_one_class_word(models, first, second):
    prompt = "embedding:pure robot and embedding:second robot"  # start, [v], robot, and, [v], robot
    pairs = applied(models, first, second), applied(models, second, first)
    bare = merged(models, first, second)
    with inserted(bare[0], first.layers, {1: 1.0}), inserted(bare[0], second.layers, {4: 1.0}):
        expected = image(bare, prompt)
    for pair in pairs:
        torch.testing.assert_close(image(pair, prompt), expected, rtol=1e-4, atol=1e-4)
    with inserted(bare[0], first.layers, {1: 1.0, 4: 1.0}):
        assert differ(image(bare, prompt), expected), "each has its own"


def test_strength_scales_the_layer_wise_vectors(models, first):
    ours = image(applied(models, first, strength=0.5), "a embedding:pure robot")
    bare = applied(models, replace(first, layers=None), strength=0.5)
    with inserted(bare[0], first.layers, {2: 0.5}):
        torch.testing.assert_close(ours, image(bare, "a embedding:pure robot"), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("order", ["adapter first", "adapter last"])
def test_a_users_lora_and_clip_skip_beside_it(models, first, order):
    """Stock nodes clone the CLIP: marks and token survive, whichever comes first."""
    import comfy.sd

    from nodes import CLIPSetLastLayer

    lora = {
        "lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_up.weight": torch.ones(128, 1),
        "lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": 0.1 * torch.ones(1, 64),
    }

    def around(pair):
        with torch.inference_mode():
            model, clip = comfy.sd.load_lora_for_models(*pair, lora, 1.0, 1.0)
            return model, CLIPSetLastLayer().set_last_layer(clip, -1)[0]

    def both(put):
        if order == "adapter first":
            return around(put(models, first))
        return put(runs.Models(*around((models.model, models.clip)), models.vae), first)

    ours, bare = both(applied), both(merged)
    assert ours[1].layer_idx == -1 and ours[1].patcher.patches
    with inserted(bare[0], first.layers, {2: 1.0}):
        expected = image(bare, "a embedding:pure robot")
    torch.testing.assert_close(image(ours, "a embedding:pure robot"), expected, rtol=1e-4, atol=1e-4)
    assert differ(expected, image(applied(models, first), "a embedding:pure robot"))


def test_marks_are_not_seen_by_a_model_without_the_adapter(models, first):
    _, marking = applied(models, first)
    _, speaking = merged(models, first)
    prompt = "a embedding:pure robot"
    marked, plain = runs.encode(marking, prompt), runs.encode(speaking, prompt)
    assert not torch.equal(marked[0][0], plain[0][0])
    negative = runs.encode(models.clip, "blurred")
    images = [runs.sample(models.model, cond, negative) for cond in (marked, plain)]
    assert float((images[0] - images[1]).abs().max()) < 1e-3 * float(images[1].abs().max())
    assert not differ(image(applied(models, first, strength=0), prompt), images[1])


def test_rows_of_t5_are_left_alone(first, models):
    """What is not a row of CLIP passes, whatever stands in the adapter's column."""
    from purecc_pack.purecc.host.families.sd3 import SD3
    from purecc_pack.purecc.host.models import apply

    width, at = SD3.text.width, apply.column(first, SD3.text)
    seen = {}

    def executor(x, t, c_concat, c_crossattn, control, options):
        seen.update(context=c_crossattn, options=options)
        return x

    context = torch.zeros(1, 77 + 5, width)
    context[:, :77, :64] = torch.randn(77, 64)
    context[:, 77:] = 0.1 * torch.randn(5, width)
    context[:, 77:, at] = apply.MARK
    before = context.clone()
    wrapper = apply._LayerWise(SD3.text, at, first.layers, 1.0)
    wrapper(executor, torch.zeros(1), torch.ones(1), None, context, None, {})
    assert torch.equal(seen["context"], before) and "patches_replace" not in seen["options"]
    context[:, 3, at] = apply.MARK
    wrapper(executor, torch.zeros(1), torch.ones(1), None, context, None, {})
    assert torch.equal(seen["context"], before), "the mark is taken out, nothing else"
    stream = torch.randn(1, 82, 128)
    for k in range(len(first.layers)):
        block = seen["options"]["patches_replace"]["dit"]["double_block", k]
        out = block({"txt": stream}, {"original_block": lambda args: args["txt"]})
        expected = stream.clone()
        expected[:, 3] = first.layers[k]
        torch.testing.assert_close(out, expected)
