"""Folders as users and other tools leave them, through Image Folder and Concept Dataset."""

import zlib

import numpy as np
import pytest
import runs
import torch
from PIL import Image, ImageDraw


@pytest.fixture
def folder(comfyui, tmp_path, monkeypatch):
    import folder_paths

    monkeypatch.setattr(folder_paths, "input_directory", str(tmp_path))
    (tmp_path / "mine").mkdir()
    return tmp_path / "mine"


def image(path, colour="tomato", side=96, **save):
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = Image.new("RGB", (side, side), "lightblue")
    ImageDraw.Draw(drawn).ellipse([side // 4, side // 4, 3 * side // 4, 3 * side // 4], fill=colour)
    drawn.save(path, **save)
    return path


def disc(path, inside=255, outside=0, mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = Image.new(mode, (96, 96), outside)
    ImageDraw.Draw(drawn).ellipse([24, 24, 72, 72], fill=inside)
    drawn.save(path)


def load():
    """The node's outputs, and what it says."""
    from purecc_pack.nodes import ImageFolder
    from purecc_pack.nodes import folder as node

    said = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(node, "say", lambda text, node_id: said.append(text))
        out = runs.execute(ImageFolder, folder="mine").args
    return (*out, "\n".join(said))


def build(models, images, captions, masks=None, class_word="robot", **values):
    from purecc_pack.nodes import ConceptDataset
    from purecc_pack.nodes import dataset as node

    said = []
    lists = {"class_word": [class_word], "resolution": [0], "vae": [models.vae]} | {k: [v] for k, v in values.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(node, "say", lambda text, node_id: said.append(text))
        try:
            data = runs.execute(ConceptDataset, images=images, captions=captions, masks=masks, **lists).args[0]
        except ValueError as error:
            return error, "\n".join(said)
    return data, "\n".join(said)


@pytest.mark.parametrize(
    "name",
    [
        ".ipynb_checkpoints/a-checkpoint.png",
        "__MACOSX/a.png",
        "@eaDir/a.png/SYNOFILE_THUMB_M.png",
        "@eaDir/a.png",
        ".thumbnails/a.png",
        "._a.png",
        ".a.png",
        "sub/.b.png",
        "#recycle/b.png",
    ],
)
def test_what_tools_make_is_passed_over_and_said(folder, name):
    image(folder / "a.png")
    image(folder / name, "gold")
    images, _, _, said = load()
    assert len(images) == 1 and float(images[0][0, 48, 48, 0]) == 1.0
    first = name.split("/")[0] if name.split("/")[0] != "sub" else name
    assert said.count(first) == 1


@pytest.mark.parametrize(
    "name",
    [
        *("a-masklabel.png", "a_mask.png", "a.mask.png", "a-mask.PNG", "A-MaskLabel.png", "a.jpg_mask.png"),
        *("masks/a.png", "mask/a.jpg", "masks/a-masklabel.png"),
    ],
)
def test_a_mask_beside_an_image_is_its_mask(folder, models, name):
    image(folder / "a.jpg", quality=100)
    image(folder / "b.png")
    disc(folder / name)
    images, captions, masks, said = load()
    assert len(images) == len(captions) == len(masks) == 2 and "1 of 2 images have a mask" in said
    assert masks[0].shape == (1, 96, 96) and masks[0][0, 48, 48] == 1 and masks[0][0, 2, 2] == 0
    data, said = build(models, images, captions, masks)
    assert [item.mask is None for item in data.items] == [False, True]
    assert "b.png" in said and "empty" in said and "a.jpg" not in said


def test_a_mask_may_be_white_or_black_on_transparency(folder):
    for name, inside in (("a", (255, 255, 255, 255)), ("b", (0, 0, 0, 255))):
        image(folder / f"{name}.png")
        disc(folder / f"{name}_mask.png", inside, (0, 0, 0, 0), "RGBA")
    for mask in load()[2]:
        assert mask[0, 48, 48] == 1 and mask[0, 2, 2] == 0


def test_masks_without_an_image_are_named_all_at_once(folder):
    image(folder / "a.png")
    for name in ("b-masklabel.png", "c_mask.png", "masks/d.png"):
        disc(folder / name)
    with pytest.raises(ValueError, match=r"(?s)b-masklabel\.png.*'b'.*c_mask\.png.*masks/d\.png.*'d'"):
        load()


def test_images_of_masks_are_images(folder):
    for name in ("iron_mask.png", "red_mask.png"):
        image(folder / name)
    assert len(load()[0]) == 2
    image(folder / "iron_mask-condlabel.png")
    assert len(load()[0]) == 2 and "iron_mask-condlabel.png" in load()[3]


def png_with(chunks, after=()):
    """A PNG of one colour with more chunks before and after its pixels."""
    rows = zlib.compress((b"\0" + bytes((200, 40, 40)) * 96) * 96)
    parts = [
        (b"IHDR", bytes((0, 0, 0, 96, 0, 0, 0, 96, 8, 2, 0, 0, 0))),
        *chunks,
        (b"IDAT", rows),
        *after,
        (b"IEND", b""),
    ]
    made = (len(d).to_bytes(4, "big") + n + d + (zlib.crc32(n + d) ^ bad(n)).to_bytes(4, "big") for n, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(made)


def bad(name):
    return int(name in (b"tIME", b"pHYs"))


BIG = zlib.compress(b"x" * 2_000_000)
CHUNKS = {
    "profile": [(b"iCCP", b"p\0\0" + zlib.compress(b"\0" * 1_500_000))],
    "unknown profile": [(b"iCCP", b"p\0\7" + b"x")],
    "text": [(b"zTXt", b"prompt\0\0" + BIG)],
    "international text": [(b"iTXt", b"prompt\0\1\0\0\0" + BIG)],
    "checksum": [(b"tIME", b"\7\xe0\1\1\1\1\1")],
    "short": [(b"pHYs", b"")],
    "much text": [(b"zTXt", b"k%d\0\0" % k + zlib.compress(b"x" * 1_000_000)) for k in range(70)],
}


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("kind", CHUNKS)
def test_metadata_that_pillow_refuses_does_not_matter(folder, kind, place):
    """The stock Load Image reads these."""
    (folder / "a.png").write_bytes(png_with(CHUNKS[kind]) if place == "before" else png_with((), CHUNKS[kind]))
    (picture,) = load()[0]
    assert torch.equal((picture * 255).round()[0, 50, 50], torch.tensor([200.0, 40.0, 40.0]))


@pytest.mark.parametrize(
    "form", ["BMP", "GIF", "ICO", "JPEG", "JPEG2000", "PPM", "TGA", "TIFF", "WEBP", "DDS", "PCX", "QOI"]
)
def test_every_format_that_pillow_reads_is_read(folder, form):
    from purecc_pack.purecc.text.folder_names import image_endings

    endings = [e for e, f in Image.registered_extensions().items() if f == form]
    assert set(endings) <= image_endings()
    for ending in endings:
        image(folder / f"a{ending}", format=form)
    assert len(load()[0]) == len(endings) and (form != "JPEG" or ".jfif" in endings)


def test_what_cannot_be_read_is_named_all_of_it_at_once(folder):
    image(folder / "a.png")
    cut = image(folder / "cut.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(cut)
    cut.write_bytes(cut.read_bytes()[:3000])
    (folder / "text.jpg").write_text("no picture")
    (folder / "gone.png").symlink_to("nowhere")
    (folder / "a.txt").write_bytes("grün".encode("cp1252"))
    (folder / "text.txt").write_bytes(b"x" * 200_000)
    with pytest.raises(ValueError) as error:
        load()
    assert all(name in str(error.value) for name in ("cut.png", "text.jpg", "gone.png", "a.txt", "text.txt"))
    assert len(str(error.value).splitlines()) == 5


def test_the_rest_is_named(folder):
    image(folder / "a.png")
    for name in ("b.heic", "c.svg", "notes.txt", "sub/deep/d.png"):
        image(folder / name, format="PNG")
    said = load()[3]
    assert all(name in said for name in ("b.heic", "c.svg", "notes.txt", "sub/deep"))
    (folder / "a.png").unlink()
    with pytest.raises(ValueError, match=r"b\.heic"):
        load()


def test_a_repeat_is_a_weight_and_an_image_is_decoded_once(folder, models, monkeypatch):
    from purecc_pack.purecc.text import image_file

    for number in range(5):
        image(folder / f"100_dog/{number}.png", side=64 + 16 * number)
        image(folder / f"1_reg/{number}.png", "gold")
    decoded, picture = [], image_file.picture
    monkeypatch.setattr(image_file, "picture", lambda path: decoded.append(path) or picture(path))
    images, captions, masks, said = load()
    assert len(decoded) == 10 and len(images) == len(captions) == len(masks) == 505
    assert len({i.data_ptr() for i in images}) == 10 and "100 for 100_dog" in said and "1 for 1_reg" in said
    data, said = build(models, images, captions, masks)
    assert sorted(item.weight for item in data.items) == [1] * 5 + [100] * 5
    assert "10 references" in said


def test_weights_are_sampled_as_copies_were():
    from dataclasses import replace

    from purecc_pack.purecc.training.dataset import Batches, ConceptItem

    item = ConceptItem(torch.zeros(1, 4, 8, 8), None, torch.zeros(64, 64, 3))
    weights = (3, 1, 2)
    weighted = [replace(item, latents=item.latents + k, weight=w) for k, w in enumerate(weights)]
    copies = [replace(one, weight=1) for one in weighted for _ in range(one.weight)]
    ours, theirs = (Batches(items, 2, torch.Generator().manual_seed(1)) for items in (weighted, copies))
    for _ in range(20):
        assert torch.equal(next(ours).x0, next(theirs).x0)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("2023_summer", "2024_winter"), [1, 1]),
        (("20230801_a", "1_b"), [1, 1]),
        (("20_08_2023", "1_b"), [1, 1]),
        (("001_a", "002_b"), [1, 1]),
        (("1500_a", "2_b"), [1, 2]),
        (("40_a", "2_b"), [20, 1]),
        (("1000_a", "1_b"), [1000, 1]),
        (("99999999999999999999_a", "1_b"), [1, 1]),
    ],
)
def test_only_a_plausible_number_is_a_count_of_repeats(folder, names, expected):
    from purecc_pack.purecc.text.image_folder import read_folder

    for name in names:
        image(folder / name / "0.jpg")
    found = read_folder(folder)
    assert {e.path.parent.name: e.repeats for e in found.entries} == dict(zip(names, expected, strict=True))
    if expected == [1, 1] and "_b" not in names[1]:
        assert names[0] in " ".join(found.remarks)


def test_images_that_do_not_fit_into_memory_are_refused_before_any_is_decoded(folder, monkeypatch):
    from comfy import model_management

    image(folder / "a.png")
    image(folder / "large.png", side=320)
    monkeypatch.setattr(model_management, "get_free_memory", lambda *args: 1e6)
    with pytest.raises(ValueError, match=r"large\.png.*320 x 320"):
        load()


def test_images_of_one_name_in_two_folders_are_both_counted(folder, monkeypatch):
    from comfy import model_management

    for sub in ("10_front", "10_back"):
        (folder / sub).mkdir()
        image(folder / sub / "1.png", side=96)
    one = 96 * 96 * (12 + 4)
    monkeypatch.setattr(model_management, "get_free_memory", lambda *args: 1.5 * one)
    with pytest.raises(ValueError, match="The 2 images need"):
        load()


def test_cancel_is_heard_between_images(folder, models):
    from comfy import model_management

    image(folder / "a.png")
    images, captions, masks, _ = load()
    for step in (load, lambda: build(models, images, captions, masks)):
        model_management.interrupt_current_processing(True)
        with pytest.raises(model_management.InterruptProcessingException):
            step()
        model_management.interrupt_current_processing(False)


@pytest.mark.parametrize(
    ("name", "caption"),
    [
        ("IMG_1.JPG", "IMG_1.TXT"),
        ("IMG_1.JPG", "img_1.txt"),
        ("IMG_1.JPG", "IMG_1.jpg.txt"),
        ("b.png", "b.png.txt"),
        ("b.png", "b.PNG.caption"),
        ("b.png", "b.txt.txt"),
        ("b.png", "b.Caption"),
        ("e\u0301.png", "\u00e9.txt"),
    ],
)
def test_captions_are_found_whatever_the_case_and_the_common_spellings(folder, name, caption):
    image(folder / name, format="PNG")
    (folder / caption).write_text("a [v] robot on sand", encoding="utf-8")
    assert load()[1] == ["a [v] robot on sand"]


def test_the_caption_of_exactly_the_name_comes_first(folder):
    for name in ("a", "A"):
        image(folder / f"{name}.png")
        (folder / f"{name}.txt").write_text(f"robot {name}")
    assert sorted(load()[1]) == ["robot A", "robot a"]


def test_images_without_a_caption_beside_images_with_one_are_said(folder, models):
    for name in ("a", "b", "c"):
        image(folder / f"{name}.png")
    (folder / "a.txt").write_text("a robot")
    (folder / "c.txt").write_text(" \n")
    images, captions, _, said = load()
    assert "1 of 3 images have no caption: b.png" in said
    error, _ = build(models, images, captions)
    assert "(of b.png)" in str(error) and "(c.txt)" in str(error) and "a.txt" not in str(error)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16", "utf-32", "utf-8-sig"])
def test_text_of_any_unicode_is_read_with_and_without_its_mark(folder, encoding):
    image(folder / "a.png")
    (folder / "a.txt").write_bytes("ein [v] Hund über 狗".encode(encoding))
    assert load()[1] == ["ein [v] Hund über 狗"]


def test_bytes_that_are_no_text_are_named_without_them(folder):
    image(folder / "a.png")
    (folder / "a.txt").write_bytes(b"\0\0\0\0")
    with pytest.raises(ValueError, match=r"a\.txt") as error:
        load()
    assert "\0" not in str(error.value)


def test_problems_of_captions_name_their_files_all_at_once(folder, models):
    texts = {"a": "sks dog and another sks dog", "b": "a (dog:1.3)", "c": "a cat", "d": "a sks dog"}
    for name, text in texts.items():
        image(folder / f"{name}.png")
        (folder / f"{name}.txt").write_text(text)
    images, captions, _, _ = load()
    error, said = build(models, images, captions, class_word="dog", trigger="sks")
    lines = str(error).splitlines()
    assert len(lines) == 3 and all(
        f"({n}.txt)" in line and texts[n] in line for n, line in zip("abc", lines, strict=True)
    )
    assert str(error) in said


@pytest.mark.parametrize("covered", [0.05, 0.2, 0.6])
def test_a_mask_that_marks_the_background_is_said(models, covered):
    side = round(64 * covered**0.5 / 2)
    mask = torch.zeros(1, 64, 64)
    mask[:, 32 - side : 32 + side, 32 - side : 32 + side] = 1
    data, said = build(models, runs.pictures(1), [""], [1 - mask])
    assert "Mask 1 of 1" in said and "Invert Mask" in said and float(data.items[0].mask.mean()) > 0.3
    assert "Invert Mask" not in build(models, runs.pictures(1), [""], [mask])[1]


@pytest.mark.parametrize("corner", [(0, 0, 30, 30), (0, 0, 64, 32), (2, 0, 60, 64), (0, 0, 64, 64), (0, 10, 64, 64)])
def test_a_mask_of_a_concept_at_the_edge_is_not_said(models, corner):
    top, left, bottom, right = corner
    mask = torch.zeros(1, 64, 64)
    mask[:, top:bottom, left:right] = 1
    assert "Mask" not in build(models, runs.pictures(1), [""], [mask])[1]


def test_the_mask_of_load_image_for_a_cut_out_is_said(models, folder):
    from nodes import LoadImage

    disc(folder.parent / "cut.png", (255, 99, 71, 255), (0, 0, 0, 0), "RGBA")
    picture, mask = LoadImage().load_image("cut.png")
    assert float(mask.mean()) > 0.7
    _, said = build(models, [picture], [""], [mask])
    assert "Invert Mask" in said
