"""Keep the extractors of the benchmark: what a method learns of a concept in so many steps."""

from __future__ import annotations

from pathlib import Path

from bench import World, load_extractor, save_extractor
from concepts import Concept
from measuring import Budget

from purecc_pack.purecc.adapters.files import Adapter


def place_of_theta1(state: Path, first: str, concept: Concept, seed: int, steps: int) -> Path:
    """Return the folder of the extractor that a method makes."""
    return state / f"extractor-{first}-{steps}" / f"{concept.name}-{seed}"


def theta1(world: World, first: str, concept: Concept, seed: int, steps: int) -> Adapter:
    """Return the extractor that a method makes of a concept, trained if it is not kept yet."""
    folder = place_of_theta1(world.state, first, concept, seed, steps)
    if not (folder / "loras").is_dir():
        save_extractor(world.run(concept, world.methods[first], seed, Budget(steps, (), False))[1], folder)
    return load_extractor(folder)
