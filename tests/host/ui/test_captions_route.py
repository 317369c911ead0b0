"""Saving an edited caption over the real server: beside its image, and nowhere else."""

import json
import urllib.error
import urllib.request

import pytest
from PIL import Image


@pytest.fixture(scope="module")
def folder(server):
    path = server.base / "input" / "edited"
    path.mkdir(parents=True, exist_ok=True)
    for name in ("a.png", "b.png", "c.png", "c.jpg"):
        Image.new("RGB", (64, 64)).save(path / name)
    (path / "b.caption").write_text("old", encoding="utf-8")
    (path / "notes.md").write_text("mine", encoding="utf-8")
    (server.base / "input" / "top.png").write_bytes((path / "a.png").read_bytes())
    (server.base / "outside.png").write_bytes((path / "a.png").read_bytes())
    return path


def post(server, body, headers=None):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    asked = urllib.request.Request(f"{server.address}/purecc/caption", data, headers or {}, method="POST")
    try:
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_a_caption_is_saved_beside_its_image(server, folder):
    assert post(server, {"image": "edited/a.png", "text": " a [v]  café\nin the sun "}) == (200, {"file": "a.txt"})
    assert (folder / "a.txt").read_text(encoding="utf-8") == "a [v] café in the sun"
    assert post(server, {"image": "edited/b.png", "text": "new"}) == (200, {"file": "b.caption"}), "where it is read"
    assert (folder / "b.caption").read_text(encoding="utf-8") == "new" and not (folder / "b.txt").exists()
    assert post(server, {"image": "edited/c.png", "text": "two of a name"}) == (200, {"file": "c.png.txt"})
    assert post(server, {"image": "edited/a.png", "text": ""}) == (200, {"file": "a.txt"})
    assert not list(folder.glob(".*")), "no drafts are left"


def test_the_folder_is_read_as_it_was_written(server, folder):
    from purecc_pack.purecc.text.caption_file import caption
    from purecc_pack.purecc.text.image_folder import read_folder

    for name in ("c.png", "c.jpg"):
        post(server, {"image": f"edited/{name}", "text": f"of {name}"})
    texts = {entry.path.name: caption(entry) for entry in read_folder(folder).entries}
    assert texts["c.png"] == "of c.png" and texts["c.jpg"] == "of c.jpg"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"image": "edited/../../outside.png", "text": "x"}, 404),
        ({"image": "../outside.png", "text": "x"}, 404),
        ({"image": "edited/notes.md", "text": "x"}, 404),
        ({"image": "edited/none.png", "text": "x"}, 404),
        ({"image": "edited", "text": "x"}, 404),
        ({"image": "", "text": "x"}, 404),
        ({"image": "edited/a.png\0", "text": "x"}, 404),
        ({"image": "top.png", "text": "x"}, 404),
        ({"image": "edited/a.png", "text": "x" * 5000}, 400),
        ({"image": "edited/a.png", "text": "a\x07b"}, 400),
        ({"image": "edited/a.png"}, 400),
        ({"image": 3, "text": "x"}, 400),
        (["edited/a.png", "x"], 400),
        (b"not json", 400),
        (b"[" * 16_000, 400),
        (b"x" * 1_000_000, 413),
    ],
)
def test_nothing_else_is_written(server, folder, body, status):
    before = {path: path.stat().st_mtime_ns for path in server.base.glob("input/**/*")}
    outside = sorted(path.name for path in server.base.iterdir())
    code, said = post(server, body)
    assert code == status and b"Traceback" not in said and str(server.base).encode() not in said
    assert {path: path.stat().st_mtime_ns for path in server.base.glob("input/**/*")} == before
    assert sorted(path.name for path in server.base.iterdir()) == outside


def test_other_sites_and_links_out_of_the_folder_are_refused(server, folder):
    (folder / "link.png").unlink(missing_ok=True)
    (folder / "link.png").symlink_to(server.base / "outside.png")
    assert post(server, {"image": "edited/link.png", "text": "x"})[0] == 404
    (folder / "link.png").unlink()
    target = server.base / "outside.txt"
    target.write_text("mine", encoding="utf-8")
    (folder / "d.png").write_bytes((folder / "a.png").read_bytes())
    (folder / "d.txt").symlink_to(target)
    assert post(server, {"image": "edited/d.png", "text": "x"})[0] == 409
    assert target.read_text(encoding="utf-8") == "mine"
    good = {"image": "edited/a.png", "text": "x"}
    for headers in ({"Origin": "http://elsewhere.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert post(server, good, headers)[0] == 403
