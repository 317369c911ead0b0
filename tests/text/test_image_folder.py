"""Folders of pictures and captions."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from purecc_pack.purecc.text import caption_file, image_file, image_folder
from purecc_pack.purecc.text.folder_names import image_endings

WIDE = np.zeros((64, 96, 3), np.uint8)
WIDE[:32] = (200, 40, 40)
WIDE[32:] = (40, 40, 200)
WIDE[:, :48, 1] = 160
GREY = np.asarray(Image.fromarray(WIDE).convert("L"))


BACK = dict(enumerate(("FLIP_LEFT_RIGHT", "ROTATE_180", "FLIP_TOP_BOTTOM", "TRANSPOSE"), start=2))
BACK |= {6: "ROTATE_90", 7: "TRANSVERSE", 8: "ROTATE_270"}


def turned(path, orientation, upright=None):
    """A file whose EXIF says how to hold it so that WIDE is seen, or another picture."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = upright or Image.fromarray(WIDE)
    upright.transpose(Image.Transpose[BACK[orientation]]).save(path, exif=exif)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_photos_stand_upright(tmp_path, orientation):
    turned(tmp_path / "a.png", orientation)
    assert np.array_equal(np.asarray(image_file.picture(tmp_path / "a.png")), WIDE)


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("mode", ["1", "L", "LA", "I;16", "P", "RGB", "RGBA", "CMYK"])
def test_scans_stand_upright(tmp_path, mode, orientation):
    """Of uncompressed TIFF, in every mode."""
    upright = Image.fromarray(GREY.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(WIDE).convert(mode)
    upright.save(tmp_path / "a.tif")
    turned(tmp_path / "b.tif", orientation, upright)
    a, b = (np.asarray(image_file.picture(tmp_path / name)) for name in ("a.tif", "b.tif"))
    assert np.array_equal(a, b)


@pytest.mark.parametrize("ending", ["png", "webp"])
def test_transparency_is_laid_on_white(tmp_path, ending):
    alpha = np.linspace(0, 255, 96).round().astype(np.uint8)[None].repeat(64, 0)
    shown = Image.fromarray(np.dstack([WIDE, alpha]))
    shown.save(tmp_path / f"a.{ending}", lossless=True, exact=True)
    part = alpha[..., None] / 255
    difference = np.asarray(image_file.picture(tmp_path / f"a.{ending}")) - (WIDE * part + 255 * (1 - part))
    assert np.abs(difference).max() <= 1


def test_a_palette_keeps_its_colours_and_its_transparency(tmp_path):
    few = Image.fromarray(WIDE).quantize(8)
    few.save(tmp_path / "a.png")
    assert np.array_equal(np.asarray(image_file.picture(tmp_path / "a.png")), np.asarray(few.convert("RGB")))
    clear = few.getpixel((0, 0))
    few.save(tmp_path / "b.png", transparency=clear)
    made = np.asarray(image_file.picture(tmp_path / "b.png"))
    assert (made[np.asarray(few) == clear] == 255).all()
    assert np.array_equal(made[np.asarray(few) != clear], np.asarray(few.convert("RGB"))[np.asarray(few) != clear])


def png16(path, values):
    """A PNG of 16 bits a channel, which Pillow writes in grey alone."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    kind = {1: 0, 3: 2, 4: 6}[values.shape[2]]
    head = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, kind, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    parts = (struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def test_sixteen_bits_are_eight(tmp_path):
    deep = GREY.astype(np.uint16) * 257
    Image.fromarray(deep).save(tmp_path / "a.png")
    Image.fromarray(deep).save(tmp_path / "a.tiff")
    png16(tmp_path / "b.png", deep[..., None])
    for name in ("a.png", "a.tiff", "b.png"):
        assert np.array_equal(np.asarray(image_file.picture(tmp_path / name)), np.dstack([GREY] * 3)), name
    png16(tmp_path / "c.png", WIDE.astype(np.uint16) * 257)
    assert np.array_equal(np.asarray(image_file.picture(tmp_path / "c.png")), WIDE)
    png16(tmp_path / "d.png", np.dstack([WIDE, np.zeros((64, 96, 1))]).astype(np.uint16) * 257)
    assert (np.asarray(image_file.picture(tmp_path / "d.png")) == 255).all()


def test_cmyk_grey_and_black_and_white_are_colours(tmp_path):
    Image.fromarray(WIDE).convert("CMYK").save(tmp_path / "a.tiff")
    assert np.abs(np.asarray(image_file.picture(tmp_path / "a.tiff")).astype(int) - WIDE).max() <= 1
    Image.fromarray(GREY).save(tmp_path / "b.png")
    assert np.array_equal(np.asarray(image_file.picture(tmp_path / "b.png")), np.dstack([GREY] * 3))
    Image.fromarray(GREY > 100).save(tmp_path / "c.png")
    assert np.array_equal(np.asarray(image_file.picture(tmp_path / "c.png")), np.dstack([(GREY > 100) * 255] * 3))


def test_what_is_no_picture_is_named(tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:3000])
    Image.fromarray(np.full((64, 64), 7e4, np.float32)).save(tmp_path / "float.tiff")
    for name in ("text.png", "cut.png", "float.tiff"):
        with pytest.raises(ValueError, match=name):
            image_file.picture(tmp_path / name)


def entries(folder):
    return list(image_folder.read_folder(folder).entries)


def place(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in image_endings():
            Image.fromarray(WIDE).save(path)
        else:
            path.write_text(f"a dog, {path.stem}\n", encoding="utf-8")


def test_a_folder_is_in_the_order_of_its_names(tmp_path):
    place(tmp_path, "b2.png", "b10.png", "B1.jpg", "b2.txt", "b10.caption", "notes.txt", "movie.json", ".hidden.png")
    found = entries(tmp_path)
    assert [e.path.name for e in found] == ["B1.jpg", "b2.png", "b10.png"]
    assert [caption_file.caption(e) for e in found] == ["", "a dog, b2", "a dog, b10"]
    assert {e.repeats for e in found} == {1}


def test_kohyas_folders_count_by_their_ratio(tmp_path):
    place(tmp_path / "one", "10_sks dog/1.png", "10_sks dog/1.txt", "10_sks dog/2.png")
    assert [(e.path.name, e.repeats) for e in entries(tmp_path / "one")] == [("1.png", 1), ("2.png", 1)]
    assert entries(tmp_path / "one" / "10_sks dog") == entries(tmp_path / "one")
    place(tmp_path / "two", "10_dog/1.png", "4_dog/2.png", "other/3.png")
    assert [(e.path.name, e.repeats) for e in entries(tmp_path / "two")] == [
        ("2.png", 4),
        ("1.png", 10),
        ("3.png", 1),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_captions_are_one_line_in_any_unicode(tmp_path, encoding):
    place(tmp_path, "a.png")
    (tmp_path / "a.txt").write_bytes("ein grüner\r\nHund \n".encode(encoding))
    assert caption_file.caption(entries(tmp_path)[0]) == "ein grüner Hund"


def test_a_folder_without_pictures_and_a_caption_that_is_no_text_are_refused(tmp_path):
    with pytest.raises(ValueError, match="'empty'"):
        (tmp_path / "empty").mkdir()
        entries(tmp_path / "empty")
    place(tmp_path, "a.png")
    (tmp_path / "a.txt").write_bytes("grün".encode("cp1252"))
    with pytest.raises(ValueError, match=r"'a\.txt'.*UTF-8"):
        caption_file.caption(entries(tmp_path)[0])


def test_the_fingerprint_follows_the_files(tmp_path):
    place(tmp_path, "a.png")
    seen = [image_folder.fingerprint(entries(tmp_path))]
    place(tmp_path, "a.txt")
    seen.append(image_folder.fingerprint(entries(tmp_path)))
    place(tmp_path, "b.png")
    seen.append(image_folder.fingerprint(entries(tmp_path)))
    assert len(set(seen)) == 3 and seen[-1] == image_folder.fingerprint(entries(tmp_path))


def test_the_stock_loader_shows_the_same(tmp_path, comfyui, monkeypatch):
    """What the help page of Concept Dataset says of Load Image; its EXIF orientations are those without a mirror."""
    import folder_paths
    import torch

    from nodes import LoadImage

    monkeypatch.setattr(folder_paths, "input_directory", str(tmp_path))
    for orientation in (3, 6, 8):
        turned(tmp_path / f"{orientation}.png", orientation)
    Image.fromarray(GREY.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    png16(tmp_path / "deep_colour.png", WIDE.astype(np.uint16) * 257)
    Image.fromarray(WIDE).convert("CMYK").save(tmp_path / "cmyk.jpg", quality=100)
    Image.fromarray(WIDE).quantize(8).save(tmp_path / "palette.png")
    for path in sorted(tmp_path.iterdir()):
        theirs = LoadImage().load_image(path.name)[0][0]
        ours = torch.from_numpy(np.asarray(image_file.picture(path)) / 255.0)
        assert theirs.shape == ours.shape and float((theirs - ours).abs().mean()) < 0.02, path.name
