"""Embeddings and masks of the host's encoders against other implementations of the same networks.

CLIP and DINOv2 are computed again by transformers, from the same files; SAM3 by the host's stock node.
"""

import shutil

import numpy as np
import pytest
import standin_encoders as small
import torch
from safetensors.torch import load_file, save_file

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def files(encoders):
    return encoders


def pictures(count, height=224, width=224, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return list((torch.rand(count, height, width, 3, generator=generator) * 255).round() / 255)


def embed(vision, images):
    from purecc_pack.purecc.host.evaluation import encoders

    seen = []
    with torch.inference_mode():
        out = encoders.embed_images(vision, images, seen.append)
    assert sum(seen) == len(images)
    return out


def normalised(images, size, mean, std):
    """[N, 3, size, size]: the middle square, scaled as the host scales, in plain torch."""
    out = []
    for image in images:
        x = image.movedim(-1, 0)[None]
        scale = size / min(x.shape[-2:])
        height, width = (round(scale * side) for side in x.shape[-2:])
        x = torch.nn.functional.interpolate(x, (height, width), mode="bicubic", antialias=True)
        top, left = (height - size) // 2, (width - size) // 2
        x = (x[..., top : top + size, left : left + size] * 255).clamp(0, 255).round() / 255
        out.append((x - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1))
    return torch.cat(out)


@pytest.fixture(scope="module")
def another_clip(files):
    """The same CLIP by transformers, in float64."""
    from transformers import CLIPConfig, CLIPModel

    vision = {**small.CLIP, "num_hidden_layers": 24, "patch_size": 14, "image_size": 224, "hidden_act": "quick_gelu"}
    text = {**small.SMALL_CLIP, "hidden_act": "quick_gelu", "eos_token_id": 49407}
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=64)).eval()
    missing, unexpected = model.load_state_dict(load_file(files.clip_file), strict=False)
    assert set(missing) <= {"logit_scale"} and not unexpected
    return model.double()


def assert_same(made, expected):
    """24 random layers in float32 against float64; a pixel on the edge of two values may round either way."""
    torch.testing.assert_close(made.double(), expected, rtol=1e-3, atol=3e-3 * float(expected.abs().max()))


MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]


def test_clip_embeds_pictures_as_transformers_does(files, another_clip):
    images = [*pictures(3), *pictures(2, 300, 260, seed=1), pictures(1, 96, 180, seed=2)[0]]
    made = embed(files.vision, images)
    pixels = torch.cat([normalised([i], 224, MEAN, STD) for i in images]).double()
    with torch.no_grad():
        expected = another_clip.visual_projection(another_clip.vision_model(pixels).pooler_output)
    assert made.shape == (6, 64)
    assert_same(made, expected)
    assert float((expected[0] - expected[1]).abs().max()) > 0.01  # the pictures are told apart


def test_clip_embeds_texts_in_the_joint_space_as_transformers_does(files, another_clip):
    from transformers import CLIPTokenizer

    from purecc_pack.purecc.host.evaluation import encoders

    texts = ["a robot on a beach", "an old robot (in snow)", "a red car " + "and another red car " * 30]
    name = encoders.text_encoder(files.clip, files.vision)
    with torch.inference_mode():
        made = encoders.embed_texts(files.clip, name, texts)
    tokenizer = CLIPTokenizer.from_pretrained(files.clip.tokenizer.clip_l.tokenizer.name_or_path)
    ids = [tokenizer(text, truncation=True, max_length=77)["input_ids"] for text in texts]
    with torch.no_grad():
        rows = []
        for row in ids:
            last = another_clip.text_model(torch.tensor([row])).last_hidden_state[0, len(row) - 1]
            rows.append(another_clip.text_projection(last))
    expected = torch.stack(rows)
    assert_same(made, expected)


def test_the_host_s_own_pooled_output_is_not_in_the_joint_space(files):
    """Why `embed_texts` does not simply take it: Load CLIP gives CLIP-L's text unprojected."""
    from purecc_pack.purecc.host.evaluation import encoders

    with torch.inference_mode():
        pooled = files.clip.encode_from_tokens(files.clip.tokenize("a robot"), return_pooled=True)[1]
        ours = encoders.embed_texts(files.clip, "clip_l", ["a robot"])
    projection = load_file(files.clip_file)["text_projection.weight"]
    assert not torch.allclose(pooled, ours, atol=0.1)
    torch.testing.assert_close(pooled.float() @ projection.T, ours, rtol=1e-3, atol=1e-3)
    options = files.clip.cond_stage_model.clip_l
    assert (options.return_projected_pooled, options.execution_device) == (False, None)  # left as it was


def test_an_sd3_text_encoder_gives_the_same_embedding(files, models):
    """The CLIP-L inside a model's own CLIP serves as well, if its file has the projection."""
    from purecc_pack.purecc.host.evaluation import encoders

    name = encoders.text_encoder(models.clip, files.vision)
    with torch.inference_mode():
        made = encoders.embed_texts(models.clip, name, ["a robot"])
        pooled = models.clip.encode_from_tokens(models.clip.tokenize("a robot"), return_pooled=True)[1][:, :64]
    projection = models.clip.cond_stage_model.clip_l.transformer.text_projection.weight
    torch.testing.assert_close(made, (pooled.float() @ projection.float().T).cpu(), rtol=1e-3, atol=1e-3)


def test_dino_embeds_pictures_by_the_class_token_of_the_last_layer(files, tmp_path):
    from transformers import Dinov2Config, Dinov2Model

    config = {**small.DINO, "num_hidden_layers": 24, "patch_size": 14}
    Dinov2Config(**config).save_pretrained(tmp_path)
    shutil.copy(files.dino_file, tmp_path / "model.safetensors")
    model, about = Dinov2Model.from_pretrained(tmp_path, output_loading_info=True)
    assert not about["missing_keys"] and not about["unexpected_keys"]
    images = [*pictures(2, 56, 56), *pictures(1, 100, 80, seed=1)]
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    pixels = torch.cat([normalised([i], 56, mean, std) for i in images]).double()
    with torch.no_grad():
        expected = model.eval().double()(pixels).last_hidden_state[:, 0]
    made = embed(files.dino, images)
    assert_same(made, expected)


def test_pictures_are_embedded_each_for_itself_whatever_the_batch(files):
    images = pictures(11, 64, 64)
    together = embed(files.vision, images)
    alone = torch.cat([embed(files.vision, [image]) for image in (images[0], images[10])])
    torch.testing.assert_close(together[[0, 10]], alone, rtol=1e-4, atol=1e-4)


def test_masks_are_those_of_the_stock_node(files):
    from comfy_extras.nodes_sam3 import SAM3_Detect

    from nodes import CLIPTextEncode
    from purecc_pack.purecc.host.evaluation import segments

    segments.check_segmenter(files.segmenter, files.segmenter_clip)
    picture = pictures(1, 48, 80, seed=3)[0]
    with torch.inference_mode():
        nouns = segments.encode_nouns(files.segmenter_clip, ["robot", "beach"])
        made = segments.masks(files.segmenter, picture, nouns, threshold=0.6)
        for noun, mask in zip(("robot", "beach"), made, strict=True):
            cond = CLIPTextEncode().encode(files.segmenter_clip, f"{noun}:200")[0]
            stock = SAM3_Detect.execute(files.segmenter, picture[None], cond, threshold=0.6, refine_iterations=0)
            assert np.array_equal(mask.numpy(), stock.args[0][0].numpy() > 0)
            assert 0.05 < float(mask.float().mean()) < 0.95
        assert not torch.equal(made[0], made[1])
        assert not segments.masks(files.segmenter, picture, nouns, threshold=0.99).any()


def test_encoders_in_the_wrong_place_are_refused(files, models):
    from purecc_pack.purecc.host.evaluation import encoders, segments

    with pytest.raises(ValueError, match=r"clip_vision .*dinov2"):
        encoders.check_clip_vision(files.dino)
    with pytest.raises(ValueError, match=r"dino .*clip_vision_model"):
        encoders.check_dino(files.vision)
    with pytest.raises(ValueError, match=r"clip_vision .* 64 .*clip "):
        encoders.text_encoder(files.segmenter_clip, files.vision)
    with pytest.raises(ValueError, match=r"segmenter .*SD3"):
        segments.check_segmenter(models.model, files.segmenter_clip)
    for wrong in (None, files.clip):
        with pytest.raises(ValueError, match=r"segmenter_clip .*SAM3"):
            segments.check_segmenter(files.segmenter, wrong)
    encoders.check_clip_vision(files.vision)
    encoders.check_dino(files.dino)


def test_a_text_encoder_of_another_width_is_refused(files):
    import comfy.clip_vision

    from purecc_pack.purecc.host.evaluation import encoders

    with small.shrink(projection_dim=48), torch.inference_mode():
        weights = small.vision_weights("clip_vision_config_vitl")
        other = comfy.clip_vision.load_clipvision_from_sd(weights)
    with pytest.raises(ValueError, match=r" 48 .*clip_l .*64"):
        encoders.text_encoder(files.clip, other)


def test_a_text_encoder_without_projection_is_refused(files, tmp_path):
    """Such as the clip_l.safetensors that goes round: the host would use whatever was in memory."""
    from purecc_pack.purecc.host.evaluation import encoders

    weights = load_file(files.clip_file)
    del weights["text_projection.weight"]
    save_file(weights, tmp_path / "clip_l.safetensors")
    with torch.inference_mode():
        clip = small.load_text(tmp_path / "clip_l.safetensors")
        with pytest.raises(ValueError, match=r"text_projection.*clip-vit-large-patch14"):
            encoders.text_encoder(clip, files.vision)
        clip.cond_stage_model.clip_l.transformer.text_projection.weight.data.normal_()  # such as was in memory
        with pytest.raises(ValueError, match=r"clip_l\.safetensors .*text_projection"):
            encoders.text_encoder(clip, files.vision)
