"""A token in every text encoder of the host that has room for one, put there by stock prompts or by Apply Adapter."""

from contextlib import ExitStack

import genuine
import pytest
import tiny_clips
import torch

pytestmark = pytest.mark.slow

TEXT = "a [v] robot, on red stripes"
T5_ROWS = ("Flux.1", "Chroma", "HiDream", "Wan", "AuraFlow", "HunyuanDiT")
"""Encoders in which every row sees every other."""

ALIKE = ("Cosmos", "Boogu", "MageFlow", "Ideogram4")
"""Those whose encoders and templates are like others that are tested."""

STOCK = [name for name in tiny_clips.STOCK if name not in (*tiny_clips.OF_CLIP, *ALIKE)]


class Case:
    """A CLIP, a token in each of its encoders, and the conditioner of a run that trains it."""

    def __init__(self, name, folder):
        from purecc_pack.purecc.host.models import conditioning
        from purecc_pack.purecc.host.models.embeddings import word_vectors
        from purecc_pack.purecc.host.models.token_encoder import token_encoder
        from purecc_pack.purecc.network.embedding import ConceptEmbedding

        self.name, self.stack = name, ExitStack()
        with torch.inference_mode():
            self.clip = tiny_clips.build(name, folder)
            self.vectors = {k: v.clone() + 0.01 for k, v in word_vectors(self.clip, "robot").items()}
        device = torch.device("cpu")
        self.cache = conditioning.PromptCache(self.clip, "thing", dict(self.vectors), device)
        self.stock = self.cache[TEXT]
        self.embedding = ConceptEmbedding(self.vectors)
        encoder = self.stack.enter_context(token_encoder(self.clip))
        self.speak = conditioning.HostConditioner(self.cache, self.embedding, encoder)

    def loss(self):
        """A number that every tensor of the conditioning which depends on the token goes into."""
        (y,) = self.speak([TEXT])
        start = {"context": self.stock.context, **self.stock.fields[0]}
        now = {"context": y.context, **y.fields[0]}
        generator = torch.Generator().manual_seed(0)
        return sum(
            (now[k] * torch.randn(now[k].shape, generator=generator)).double().sum() / (1 + float(start[k].std()))
            for k in sorted(start)
            if torch.is_tensor(start[k]) and start[k].is_floating_point()
        )


@pytest.fixture(scope="module", params=[*STOCK, *tiny_clips.OTHERS])
def case(comfyui, request, tmp_path_factory):
    from purecc_pack.purecc.host.models.copies import trainable_world

    torch.set_num_threads(1)
    with trainable_world():
        made = Case(request.param, tmp_path_factory.mktemp("embeddings"))
        with made.stack:
            yield made


def test_training_starts_from_what_a_prompt_gives(case):
    (ours,) = case.speak([TEXT])
    torch.testing.assert_close(ours.context, case.stock.context, rtol=1e-4, atol=1e-4)
    assert ours.fields[0].keys() == case.stock.fields[0].keys()
    for key, value in case.stock.fields[0].items():
        if torch.is_tensor(value):
            torch.testing.assert_close(ours.fields[0][key], value, rtol=1e-4, atol=1e-4, msg=key)
    assert torch.equal(case.speak(["a robot"])[0].context, case.cache["a robot"].context)


def test_gradients_equal_finite_differences(case):
    case.embedding.zero_grad()
    case.loss().backward()
    for name, token in case.embedding.tokens.items():
        gradient = token.grad.clone()
        step = 3e-3 * gradient / gradient.norm()
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                token += sign * step
                values.append(float(case.loss()))
                token -= sign * step
        found = (values[0] - values[1]) / (2 * 3e-3)
        assert found == pytest.approx(float(gradient.norm()), rel=2e-2), name


def test_the_row_of_the_concept_is_where_its_vector_stands(case):
    from purecc_pack.purecc.host.models.embeddings import positions, rows_of_concept, trainable_text

    (row,) = case.stock.marks[0].nonzero()[:, 0].tolist()
    text = trainable_text(case.clip)
    tokens = case.cache.tokens(TEXT)
    assert [at for at, _ in rows_of_concept(case.clip, tokens, case.stock.context.shape[1])] == [row]
    if case.name in T5_ROWS:
        ((_, place, _),) = positions(tokens, text.encoders[text.rows])
        assert row == place
        return
    with torch.no_grad():
        before = case.speak([TEXT])[0].context.clone()
        token = case.embedding.tokens[text.rows]
        token += 0.5
        after = case.speak([TEXT])[0].context
        token -= 0.5
    moved = (before - after).abs().amax(-1)[0] > 1e-5
    if text.stand_in is None:
        assert int(moved.nonzero()[0]) == row, "in a causal encoder the first row that moves"
        return
    words = [t for t, _ in case.clip.tokenize("a robot, on red stripes")["t5xxl"][0]]
    ours = [t for t, _ in tokens["t5xxl"][0]]
    assert ours.pop(row) == text.stand_in[1] and ours == words and moved.any()


def test_other_words_are_those_of_a_plain_prompt(case):
    """In stock prompts not quite: they lose a space or a line break beside the name."""
    from purecc_pack.purecc.host.models.embeddings import _tokenizer, trainable_encoders

    if case.name in STOCK:
        return
    tokens, plain = case.cache.tokens(TEXT), case.clip.tokenize("a robot, on red stripes")
    for name, encoder in trainable_encoders(case.clip).items():
        pad = _tokenizer(case.clip, encoder).pad_token
        both = [[entry[0] for entry in some[encoder.key][0]] for some in (tokens, plain)]
        ours, theirs = ([t for t in one if torch.is_tensor(t) or t != pad] for one in both)
        assert sum(map(torch.is_tensor, ours)) == 1
        assert [t for t in ours if not torch.is_tensor(t)] == theirs, name


def adapter(vectors):
    from purecc_pack.purecc.adapters import files

    lora = {"lora_up.weight": torch.zeros(4, 1), "lora_down.weight": torch.zeros(1, 4)}
    return files.Adapter("adapter", "thing", {f"diffusion_model.x.{k}": v for k, v in lora.items()}, vectors, None, {})


def test_a_prompt_gives_the_same_bit_for_bit_by_stock_or_by_apply_adapter(case, tmp_path):
    """A saved embedding in the loader's folder where the host looks it up; the CLIP of Apply Adapter everywhere."""
    from purecc_pack.purecc.adapters import files
    from purecc_pack.purecc.host.models.apply import _with_token
    from purecc_pack.purecc.text.texts import prompt

    text = prompt(TEXT, "thing")
    clips = {"apply": _with_token(case.clip, adapter(case.vectors))}
    if case.name in STOCK:
        folder = vars(case.clip.tokenizer).values()
        folder = next(t.embedding_directory for t in folder if getattr(t, "embedding_directory", None))[0]
        files.save(adapter(case.vectors), tmp_path / "loras", folder, overwrite=True)
        clips["stock"] = case.clip
    for name, clip in clips.items():
        with torch.inference_mode():
            out = clip.encode_from_tokens(clip.tokenize(text), return_pooled=True, return_dict=True)
        assert torch.equal(out.pop("cond"), case.stock.context), name
        for key, value in out.items():
            assert value is None or torch.equal(value, case.stock.fields[0][key]), (name, key)
    bare = case.clip.clone()
    with torch.inference_mode():
        other = bare.encode_from_tokens(bare.tokenize("a robot, on red stripes"), return_pooled=True)[0]
    assert other.shape != case.stock.context.shape or not torch.equal(other, case.stock.context)


def test_two_concepts_and_a_weight_in_one_prompt(comfyui):
    from purecc_pack.purecc.host.families import Encoder
    from purecc_pack.purecc.host.models.embeddings import positions
    from purecc_pack.purecc.host.models.placeholders import with_vectors

    clip = tiny_clips.build("Wan")
    one, two, three = (torch.full((n, 32), float(n)) for n in (1, 2, 3))
    known = with_vectors(with_vectors(clip, "one", {"umt5xxl": three}), "two", {"umt5xxl": two})
    known = with_vectors(known, "one", {"umt5xxl": one})
    tokens = known.clone().tokenize("red embedding:one, (embedding:two robot:1.5) embedding:onetwo")
    (window,) = tokens["umt5xxl"]
    encoder = Encoder("umt5xxl")
    found = [(v, window[place][1]) for _, place, v in positions(tokens, encoder)]
    assert [(float(v[0]), weight) for v, weight in found] == [(1.0, 1.0), (2.0, 1.5), (2.0, 1.5)]
    assert len(window) == 512, "padded by the host as every prompt"
    assert not list(positions(clip.tokenize("embedding:one"), encoder))


@pytest.mark.parametrize("choice", ["auto", "input token", "trigger word"])
@pytest.mark.parametrize("name", ["SDXL", "Z-Image", "Qwen-Image"])
def test_what_stands_for_the_concept(comfyui, name, choice):
    from purecc_pack.purecc.host.models.carrying import Carried, carried_by

    clip = tiny_clips.build(name)
    token = Carried.BY_APPLY if name == "Qwen-Image" else Carried.BY_STOCK
    word = choice == "trigger word" or (choice == "auto" and name != "SDXL")
    assert carried_by(clip, choice) is (Carried.WORD if word else token)
    if choice == "trigger word":
        with pytest.raises(ValueError, match=r"layer_wise.*trigger word"):
            carried_by(clip, choice, layer_wise=True)
    else:
        assert carried_by(clip, choice, layer_wise=True) is token


FAMILIES = {
    **{"SD1.5": "SD1.5", "SD2.1-v": "SD2", "SDXL": "SDXL", "SD3.5-medium": "SD3", "Flux.1-dev": "Flux.1"},
    **{"Flux.2-klein": "klein", "LongCat-Image": "LongCat", "Chroma": "Chroma", "Qwen-Image": "Qwen-Image"},
    **{"Z-Image": "Z-Image", "Lumina2": "Lumina2", "HiDream-I1": "HiDream", "AuraFlow": "AuraFlow"},
    **{"PixArt-Sigma": "Chroma", "HunyuanDiT": "HunyuanDiT", "HunyuanImage2.1": "HunyuanImage"},
    **{"Wan2.1/2.2-A14B": "Wan", "Cosmos-Predict2": "Cosmos", "Anima": "Anima", "Kandinsky5-Image": "Kandinsky5"},
    **{"OmniGen2": "OmniGen2", "Boogu": "Boogu", "MageFlow": "MageFlow", "JoyImage": "JoyImage"},
    **{"Ideogram4": "Ideogram4", "Krea2": "Krea2"},
}


def test_what_stands_for_the_concept_in_a_family_is_known_without_its_encoders(comfyui):
    from purecc_pack.purecc.host.families import ENCODERS_OF, family_of
    from purecc_pack.purecc.host.models.carrying import Carried, ways

    for model, kind in FAMILIES.items():
        family = family_of(genuine.patcher_of(genuine.build(model)[1]))
        token = Carried.BY_STOCK if kind in tiny_clips.STOCK else Carried.BY_APPLY
        of_clip = kind in tiny_clips.OF_CLIP
        assert ways(family) == ((token, Carried.WORD) if of_clip else (Carried.WORD, token)), model
        names = [cls.__name__ for cls in tiny_clips.kinds()[kind][1].__mro__]
        # The file of Ideogram's encoder may be with or without its image part; both know embeddings.
        assert of_clip or ENCODERS_OF[family.name] in names or model == "Ideogram4", model
