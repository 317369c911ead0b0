"""The pack's views for everybody: contrast in both themes, names and roles, and nothing added to the page itself."""

import json
import re
from pathlib import Path

import liveruns
import panels
import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "web" / "js"
TELL = "detail => app.api.dispatchEvent(new CustomEvent('purecc.run', {detail}))"
# The lowest contrast of a text in an element, with that text, and of each curve's colour, as of WCAG 2.
CONTRAST = """
selector => {
  const root = document.querySelector(selector);
  const rgb = text => text.match(/[\\d.]+/g).map(Number);
  const light = colour => {
    const [r, g, b] = colour.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const ground = element => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgb(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour.slice(0, 3);
    }
  };
  const written = element => [...element.childNodes].some(n => n.nodeType === 3 && n.data.trim());
  const texts = [...root.querySelectorAll("*")].filter(e => e.checkVisibility() && !e.disabled && written(e));
  const found = texts.map(element => [contrast(rgb(getComputedStyle(element).color).slice(0, 3), ground(element)),
                                      element.textContent]);
  const hex = text => [1, 3, 5].map(k => parseInt(text.trim().slice(k, k + 2), 16));
  const style = getComputedStyle(root);
  const curves = ["loss", "drift", "scale", "rate", "text"].map(name => [
    contrast(hex(style.getPropertyValue(`--purecc-${name}`)), ground(root)), name]);
  const worst = list => list.sort((a, b) => a[0] - b[0])[0];
  return {count: texts.length, text: worst(found), curves: worst(curves)};
}
"""
# Controls without a name that a screen reader could say.
NAMELESS = """
() => [...document.querySelectorAll(
  ".purecc-panel :is(button, input, img, canvas, textarea), .purecc-dialog, .purecc-dialog :is(button, input, img)")]
  .filter(e => e.checkVisibility() && !(e.getAttribute("aria-label") || e.alt || e.textContent.trim()))
  .map(e => e.outerHTML)
"""


def told(page, node):
    """A run that is told to the page: with every curve, samples, a remark and an error."""
    run = liveruns.made(node=str(node))
    for number in range(1, 4):
        run.step(liveruns.step(number, drift=1e-4 * number))
    run.sample([liveruns.sample(3)])
    run.best(name="mine_best", step=2, loss=0.25, drift=3e-4, bound=0.01)
    return run


@pytest.mark.parametrize("palette", ["dark", "light"])
def test_texts_and_curves_can_be_read_in_both_themes(shared_page, palette):
    page = shared_page
    page.route(re.compile(r"/samples/\d+/"), lambda route: route.fulfill(status=404))
    node = panels.opened(page)
    run = told(page, node)
    page.evaluate("name => app.extensionManager.setting.set('Comfy.ColorPalette', name)", palette)
    try:
        for end in (None, "failed"):
            if end:
                run.end(end, "The learning rate is too high.")
            page.evaluate(TELL, json.loads(json.dumps(run.state())))
            panels.wait(page, node, f"head.state === '{end or 'running'}'")
            found = page.wait_for_function(
                f"selector => {{ const f = ({CONTRAST})(selector); return f.count > 5 && f }}", arg=".purecc-panel"
            ).json_value()
            assert found["text"][0] >= 4.5, found
            assert found["curves"][0] >= 4.5, "the curves' figures are written in their colours"
    finally:
        page.evaluate("() => app.extensionManager.setting.set('Comfy.ColorPalette', 'dark')")


def test_everything_has_a_name_and_the_status_is_announced(shared_page):
    page = shared_page
    page.route(re.compile(r"/samples/\d+/"), lambda route: route.fulfill(status=404))
    node = panels.opened(page)
    page.evaluate(TELL, json.loads(json.dumps(told(page, node).state())))
    panels.wait(page, node, "samples.length === 1")
    line, chart = page.locator(".purecc-panel .purecc-line").first, page.locator(".purecc-panel canvas").first
    assert (line.get_attribute("role"), line.get_attribute("aria-live")) == ("status", "polite")
    assert chart.get_attribute("role") == "img"
    assert panels.text("loss") in chart.get_attribute("aria-label") and "3.0e-4" in chart.get_attribute("aria-label")
    assert page.evaluate(NAMELESS) == []
    page.evaluate("() => document.querySelector('.purecc-enlarge').click()")
    page.locator("dialog.purecc-dialog").wait_for()
    assert page.locator("dialog.purecc-dialog").get_attribute("aria-label")
    assert page.evaluate(NAMELESS) == []
    page.keyboard.press("Escape")


def test_nothing_is_added_to_the_page_itself():
    source = "".join(path.read_text(encoding="utf-8") for path in SCRIPTS.glob("*.js"))
    assert not re.search(r"document\.(body|head)\.(append|prepend|insert)", source)
