"""The picture beside an adapter: written and replaced with it, and never in the place of the user's own."""

# SPDX-License-Identifier: GPL-3.0-or-later

from dataclasses import replace
from io import BytesIO

import pytest
from adapter_files import contents, make
from PIL import Image

from purecc_pack.purecc.adapters import files, picture, transaction


@pytest.fixture
def folders(tmp_path):
    return tmp_path / "loras", tmp_path / "embeddings"


def shown(colour, size=(800, 400)):
    return picture.shown_for(Image.new("RGB", size, colour), f"a sample in {colour}")


def with_picture(colour, **values):
    return replace(make(**values), picture=shown(colour))


def own(colour="green"):
    out = BytesIO()
    Image.new("RGB", (8, 8), colour).save(out, "PNG")
    return out.getvalue()


def test_a_picture_lies_beside_its_adapter_and_is_loaded_with_it(folders):
    adapter = with_picture("red")
    lora, embedding = files.save(adapter, *folders)
    assert sorted(p.name for p in contents(*folders)) == ["rob.png", "rob.safetensors", "rob.safetensors"]
    with Image.open(folders[0] / "rob.png") as image:
        assert image.size == (512, 256) and image.text == {"purecc": "a sample in red"}
    loaded = files.load(lora, embedding)
    assert loaded.picture == adapter.picture and loaded.id == adapter.id == make().id
    assert files.load(*files.save(make(name="none"), *folders)).picture is None


def test_a_picture_is_replaced_and_removed_with_its_adapter(folders):
    files.save(with_picture("red"), *folders)
    before = contents(*folders)
    with pytest.raises(FileExistsError):
        files.save(with_picture("blue", seed=1), *folders)
    assert contents(*folders) == before
    files.save(with_picture("blue", seed=1), *folders, overwrite=True)
    assert (folders[0] / "rob.png").read_bytes() == shown("blue")
    files.save(make(seed=1), *folders)  # the same adapter again, which has no picture at hand
    assert (folders[0] / "rob.png").read_bytes() == shown("blue")
    files.save(make(seed=2), *folders, overwrite=True)
    assert not (folders[0] / "rob.png").exists()


@pytest.mark.parametrize("content", [own(), b"not a picture", shown("blue")[:60]])
def test_the_user_s_own_picture_stays(folders, content):
    folders[0].mkdir(parents=True)
    (folders[0] / "rob.png").write_bytes(content)
    files.save(with_picture("red"), *folders)
    files.save(with_picture("blue", seed=1), *folders, overwrite=True)
    files.save(make(seed=2), *folders, overwrite=True)
    assert (folders[0] / "rob.png").read_bytes() == content
    assert files.load(folders[0] / "rob.safetensors", folders[1] / "rob.safetensors").picture is None


def test_a_save_that_fails_leaves_the_picture_of_before(folders, monkeypatch):
    files.save(with_picture("red"), *folders)
    before, write = contents(*folders), transaction._write

    def fail(path, content):
        if ".png." in path.name:
            raise OSError("disk full")
        write(path, content)

    monkeypatch.setattr(transaction, "_write", fail)
    with pytest.raises(OSError, match=r"rob\.png cannot be written"):
        files.save(with_picture("blue", seed=1), *folders, overwrite=True)
    assert contents(*folders) == before
