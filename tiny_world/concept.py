"""Draw the example concept: a robot that the base model never saw, in five references on one background."""

from __future__ import annotations

from pathlib import Path

from ..purecc.tiny.concept import CLASS_WORD, FOLDER
from .captions import phrase
from .individuals import CONCEPT
from .scenes import Scene, draw

BACKGROUND = "red stripes"
"""Background of all references; no caption names it, so that a leak of it shows."""

_REFERENCES: tuple[tuple[str, str], ...] = (
    ("middle", "flat"), ("left", "flat"), ("right", "flat"), ("middle", "ink"), ("middle", "pixel"),
)  # fmt: skip


def concept_scene(background: str, style: str = "flat", position: str = "middle", seed: int = 0) -> Scene:
    """Return a scene with the concept in it."""
    return Scene(CLASS_WORD, "purple", background, style, position, CONCEPT, seed)


def reference_scenes() -> list[Scene]:
    """Return the scenes of the references."""
    return [concept_scene(BACKGROUND, style, position, seed=100 + i) for i, (position, style) in enumerate(_REFERENCES)]


def reference_captions() -> list[str]:
    """Return captions with the marker [v], which name position and style but not the background."""
    return [phrase("[v] robot", style=scene.style, position=scene.position) for scene in reference_scenes()]


def write_references(folder: Path = FOLDER) -> None:
    """Draw the references: NN.png and NN.txt."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, (scene, text) in enumerate(zip(reference_scenes(), reference_captions(), strict=True), start=1):
        draw(scene).save(folder / f"{i:02d}.png")
        (folder / f"{i:02d}.txt").write_text(text + "\n", encoding="utf-8")
