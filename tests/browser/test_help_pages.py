"""The help page of every node, with its picture, as the front end shows it."""

import re
from pathlib import Path

import help_pictures
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = ROOT / "web" / "docs"
NODES = sorted(path.stem for path in PAGES.glob("*.md"))
OPEN = """
type => {
  app.graph.clear();
  const node = LiteGraph.createNode(type);
  app.graph.add(node);
  app.canvas.ds.scale = 0.5;
  node.pos = [700, 200];
  app.canvas.selectItems([node]);
}
"""
# The title and the picture of the page that is shown; nothing before both are there.
SHOWN = """
title => {
  const page = document.querySelector(".node-help-content"), image = page?.querySelector("img");
  return page?.querySelector("h1")?.innerText === title && image?.naturalWidth > 0
    && { path: new URL(image.src).pathname, width: image.naturalWidth, alt: image.alt };
}
"""


def read(name: str, language: str | None = None) -> tuple[str, str, str]:
    """(title, the picture's alt text, its path) of a help page."""
    path = PAGES / name / f"{language}.md" if language else PAGES / f"{name}.md"
    lines = path.read_text(encoding="utf-8").split("\n")
    found = re.fullmatch(r"!\[([^\]\"<]+)\]\((.+)\)", lines[2])
    assert found, f"{path} shows no picture under its title"
    return lines[0].removeprefix("# "), found[1], found[2]


@pytest.mark.parametrize("name", NODES)
def test_every_page_shows_its_picture_in_every_language(name):
    languages = [path.stem for path in (PAGES / name).glob("*.md")]
    assert {read(name, language)[2] for language in (None, *languages)} == {f"images/{name}.webp"}
    path = PAGES / "images" / f"{name}.webp"
    assert path.stat().st_size < help_pictures.LARGEST
    with Image.open(path) as picture:
        assert picture.format == "WEBP"
        assert 300 <= picture.width <= help_pictures.WIDEST
        assert picture.convert("L").getextrema()[1] - picture.convert("L").getextrema()[0] > 100


def test_there_is_a_recipe_for_every_picture_and_no_picture_without_a_page():
    assert sorted(help_pictures.PAGES) == NODES
    assert sorted(path.stem for path in (PAGES / "images").iterdir()) == NODES


def look(page, name: str, title: str) -> dict:
    """Opens the help of a node by the button above it, unless it is open, and returns what its picture is."""
    page.evaluate(OPEN, name)
    if not page.locator(".node-help-content").count():
        page.get_by_test_id("info-button").click()
    return page.wait_for_function(SHOWN, arg=title).json_value()


def test_the_front_end_shows_the_page_and_the_picture(page):
    for name in NODES:
        title, alt, path = read(name)
        with Image.open(PAGES / path) as picture:
            width = picture.width
        assert look(page, name, title) == {"path": f"/extensions/purecc/docs/{path}", "width": width, "alt": alt}


def test_a_page_in_another_language_shows_the_same_picture(page):
    page.evaluate("async () => await app.extensionManager.setting.set('Comfy.Locale', 'fr')")
    try:
        page.reload()
        page.wait_for_function("() => window.LiteGraph?.registered_node_types?.PureCCSaveAdapter && window.app?.graph")
        page.wait_for_timeout(2000)
        title, alt, path = read("PureCCSaveAdapter", "fr")
        shown = look(page, "PureCCSaveAdapter", title)
        assert (shown["path"], shown["alt"]) == (f"/extensions/purecc/docs/{path}", alt)
    finally:
        page.evaluate("async () => await app.extensionManager.setting.set('Comfy.Locale', 'en')")
