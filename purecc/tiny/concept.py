"""The concept: one robot that the base model never saw, and its five reference pictures on one background."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from .captions import phrase
from .individuals import CONCEPT
from .scenes import Scene, draw

FOLDER = Path(__file__).with_name("concept")
CLASS_WORD = "robot"
BACKGROUND = "red stripes"
"""The background of all references; their captions do not name it, so that a leak of it shows."""

_REFERENCES: tuple[tuple[str, str], ...] = (
    ("middle", "flat"), ("left", "flat"), ("right", "flat"), ("middle", "ink"), ("middle", "pixel"),
)  # fmt: skip


def concept_scene(background: str, style: str = "flat", position: str = "middle", seed: int = 0) -> Scene:
    """A scene with the concept in it."""
    return Scene(CLASS_WORD, "purple", background, style, position, CONCEPT, seed)


def reference_scenes() -> list[Scene]:
    """The scenes of the reference pictures."""
    return [concept_scene(BACKGROUND, style, position, seed=100 + i) for i, (position, style) in enumerate(_REFERENCES)]


def reference_captions() -> list[str]:
    """Captions with the marker [v]; position and style are named, the background is not."""
    return [phrase("[v] robot", style=scene.style, position=scene.position) for scene in reference_scenes()]


def reference_images() -> list[Image.Image]:
    """The reference pictures as they lie in the pack's folder, RGB, in the order of `reference_captions`."""
    return [Image.open(path).convert("RGB") for path in sorted(FOLDER.glob("*.png"))]


def write_references(folder: Path = FOLDER) -> None:
    """Draw the references: NN.png and NN.txt."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, (scene, text) in enumerate(zip(reference_scenes(), reference_captions(), strict=True), start=1):
        draw(scene).save(folder / f"{i:02d}.png")
        (folder / f"{i:02d}.txt").write_text(text + "\n", encoding="utf-8")
