"""Gestures that a slow machine can make fail: double clicks torn into two clicks, clicks on what is still fading."""

import contextlib

from playwright.sync_api import TimeoutError as TooSlow

TRIES = 12
HANGS = "() => app.canvas.state.ghostNodeId != null"
STANDS = "() => app.canvas.state.ghostNodeId == null"


def repeat(gesture, done) -> None:
    """Make a gesture until `done`, given how long to wait in ms, no longer raises that it was too slow."""
    for _ in range(TRIES):
        gesture()
        with contextlib.suppress(TooSlow):
            return done(timeout=10_000)
    raise AssertionError(f"{TRIES} times in vain")


def search_box(page):
    """The search of nodes, open or not."""
    return page.get_by_role("combobox", name="Add a node...")


def choose(page, name: str) -> None:
    """Write a name into the open search and take the first node, which then hangs on the pointer."""
    search_box(page).fill(name)
    page.get_by_role("option", name=name).first.wait_for()
    page.keyboard.press("Enter")
    search_box(page).wait_for(state="hidden")
    page.wait_for_function(HANGS)


def place(page, click) -> None:
    """Put the node that hangs on the pointer down by a click."""
    repeat(click, lambda timeout: page.wait_for_function(STANDS, timeout=timeout))
