"""Layer-wise vectors in every family whose rows of [v] are known: only these change, each vector has a gradient."""

import genuine
import pytest
import torch
from applied import velocities

pytestmark = pytest.mark.slow

ROW = 2
T5_ROWS = ("Anima",)
"""Families whose rows are those of T5's words."""


KNOWN = (
    *("SD1.5", "SD2.1-v", "SDXL", "SD3.5-medium", "Flux.1-dev", "Flux.2-klein", "LongCat-Image"),
    *("Chroma", "Qwen-Image", "Z-Image", "Lumina2", "HiDream-I1", "AuraFlow", "PixArt-Sigma"),
    *("HunyuanImage2.1", "Wan2.1/2.2-A14B", "Cosmos-Predict2", "Anima", "Kandinsky5-Image", "Ernie-Image"),
    *("OmniGen2", "Boogu", "MageFlow", "JoyImage", "Ideogram4", "Krea2", "Lens"),
)


class Case:
    """A model, two prompts of which the first has [v] in one row, and a vector for each block that takes text."""

    def __init__(self, name):
        from purecc_pack.purecc.host.models.field import HostField
        from purecc_pack.purecc.network.embedding import observe_layers
        from purecc_pack.purecc.network.field import Conditioning

        recipe, base = genuine.build(name)
        base.requires_grad_(False)
        self.name, self.patcher = name, genuine.patcher_of(base)
        self.field = HostField(self.patcher)
        self.fields = dict(recipe["cond"])
        context = self.fields.pop("cross_attn")
        self.context = torch.cat([context, context.flip(1)])
        count = self.fields["t5xxl_ids"].shape[0] if name in T5_ROWS else context.shape[1]
        marks = torch.zeros(2, count, dtype=torch.bool)
        marks[0, ROW] = True
        self.y = Conditioning(self.context, marks, (self.fields,) * 2)
        shape = [n for k, n in enumerate(recipe["latent"]) if len(recipe["latent"]) == 3 or k != 1]
        generator = torch.Generator().manual_seed(5)
        self.x_t, self.probe = (torch.randn(2, *shape, generator=generator) for _ in range(2))
        self.t = torch.tensor([0.3, 0.7])
        with torch.no_grad():
            self.plain = self.field.velocity(self.x_t, self.t, self.y)
            self.seen = observe_layers(self.field.text_inputs, marks, self.run)
            noise = torch.randn(self.seen.shape, generator=generator)
            self.vectors = self.seen + noise * self.seen.std(1, keepdim=True)

    def run(self, y=None):
        return self.field.velocity(self.x_t, self.t, y or self.y)

    def streams(self, vectors=None, y=None):
        """The text stream at the first block's input as the block gets it, and its mark's row."""
        taken, found = self.field.text_inputs[0], []

        def keep(_, args, kwargs):
            stream = taken.read(args, kwargs)
            found.append((stream.clone(), taken.rows(stream, (y or self.y).marks)))

        handle = taken.block.register_forward_pre_hook(keep, with_kwargs=True)
        try:
            with torch.no_grad(), self.field.hooks.use(vectors):
                self.run(y)
        finally:
            handle.remove()
        return found[0]


@pytest.fixture(scope="module", params=KNOWN)
def case(comfyui, request):
    from purecc_pack.purecc.host.models.differentiable import differentiable_operators

    torch.set_num_threads(1)
    with differentiable_operators():
        yield Case(request.param)


def test_every_family_whose_rows_are_known_is_here(comfyui):
    from purecc_pack.purecc.host import families

    known = [*families.FAMILIES.values(), families.SD15, families.SD2, families.Z_IMAGE]
    known = {family.name for family in known if family.layer_wise} | set(families.STREAMS)
    assert {families.family_of(genuine.patcher_of(genuine.build(name)[1])).name for name in KNOWN} == known


def test_only_the_row_of_the_concept_changes(case):
    plain, marks = case.streams()
    changed, _ = case.streams(case.vectors)
    assert marks.sum() == 1
    assert torch.equal((plain != changed).any(-1), marks)
    torch.testing.assert_close(changed[marks][0], case.vectors[0])


def test_the_row_is_the_one_that_the_text_encoders_gave(case):
    """The row of a block's input that moves most with the row of the conditioning: refiners move all of them a bit."""
    from dataclasses import replace

    if case.name in T5_ROWS:
        ids = case.fields["t5xxl_ids"].clone()
        ids[ROW] += 7
        moved = replace(case.y, fields=({**case.fields, "t5xxl_ids": ids}, case.fields))
    else:
        context = case.context.clone()
        context[0, ROW] += 3 * torch.randn(context.shape[-1], generator=torch.Generator().manual_seed(1))
        moved = replace(case.y, context=context)
    before, marks = case.streams()
    after, _ = case.streams(y=moved)
    distance = (before - after).norm(dim=-1)
    assert distance.flatten().argmax() == marks.flatten().float().argmax()


def test_the_vectors_of_the_base_change_nothing_and_others_only_their_prompt(case):
    with torch.no_grad(), case.field.hooks.use(case.seen):
        torch.testing.assert_close(case.run(), case.plain, rtol=1e-4, atol=1e-4)
    with torch.no_grad(), case.field.hooks.use(case.vectors):
        out = case.run()
    torch.testing.assert_close(out[1], case.plain[1], rtol=1e-5, atol=1e-5)
    assert float((out[0] - case.plain[0]).norm() / case.plain[0].norm()) > 1e-4


def test_every_vector_has_the_gradient_of_finite_differences(case):
    vectors = case.vectors.clone().requires_grad_()
    for checkpointed in (0, len(case.field.text_blocks)):
        case.field.checkpointing.first(checkpointed)
        vectors.grad = None
        with case.field.hooks.use(vectors):
            (case.run() * case.probe).sum().backward()
        case.field.checkpointing.first(0)
        assert vectors.grad.norm(dim=1).min() > 0
        step = 1e-2 * vectors.grad / vectors.grad.norm()
        values = []
        for sign in (1, -1):
            with torch.no_grad(), case.field.hooks.use(vectors + sign * step):
                values.append(float((case.run() * case.probe).double().sum()))
        assert (values[0] - values[1]) / 2e-2 == pytest.approx(float(vectors.grad.norm()), rel=2e-2)


def conditioning(case, times):
    """A stock conditioning of the first prompt, its text that many times as long, and the entry of marks."""
    from purecc_pack.purecc.host.models.marks import ENTRY

    count = case.context.shape[1]
    marks = torch.zeros(1, max(count * times, case.y.marks.shape[1]))
    marks[0, ROW] = 1.0
    fields = {
        k: v.repeat(1, times) if torch.is_tensor(v) and v.ndim == 2 and v.shape == (1, count) else v
        for k, v in case.fields.items()
    }
    context = torch.cat([case.context[:1], *[case.context[1:]] * (times - 1)], dim=1)
    return [[context, {**fields, ENTRY: {"purecc_marks_thing": marks}}]]


APPLIED = [(name, (1, 1)) for name in KNOWN if name != "SD3.5-medium"]  # whose marks are in its text stream
APPLIED += [(name, (1, 2)) for name in ("SD1.5", "SDXL", "Flux.1-dev", "Flux.2-klein", "Qwen-Image", "Wan2.1/2.2-A14B")]


@pytest.mark.parametrize(("case", "lengths"), APPLIED, indirect=["case"])
def test_applied_they_do_what_they_did_in_training(case, lengths):
    """With a prompt without [v] in the batch, and with prompts of unlike lengths."""
    from purecc_pack.purecc.adapters.files import Adapter
    from purecc_pack.purecc.host.models.apply import _insert_layers
    from purecc_pack.purecc.host.models.marks import ENTRY
    from purecc_pack.purecc.network.field import Conditioning

    lora = {"diffusion_model.x.lora_up.weight": torch.zeros(4, 1)}
    lora |= {"diffusion_model.x.lora_down.weight": torch.zeros(1, 4)}
    token = {"clip_l": torch.zeros(1, 4)}
    adapter = Adapter("adapter", "thing", lora, token, case.vectors, {})
    model = case.patcher.clone()
    _insert_layers(model, adapter, case.vectors, 1.0)
    conds = [conditioning(case, times) for times in lengths]
    conds.append([[case.context[1:], dict(case.fields)]])
    x_t, t = case.x_t[:1], case.t[:1]
    ours = velocities(model, x_t, t, *conds)
    for cond, v in zip(conds, ours, strict=True):
        ((context, fields),) = cond
        fields = dict(fields)
        marks = fields.pop(ENTRY, {}).get("purecc_marks_thing", torch.zeros(1, context.shape[1])) > 0
        with torch.inference_mode(), case.field.hooks.use(case.vectors):
            expected = case.field.velocity(x_t, t, Conditioning(context, marks, (fields,)))
        torch.testing.assert_close(v, expected, rtol=1e-3, atol=1e-3)
