"""List the workflows and blueprints by the names of their files."""

from dataclasses import replace

from . import measure, try_it, two_stages, use
from .describe import Graph, Node, one
from .families import FAMILIES
from .parts import COMPARE, LEARN, compare, learn
from .teach import teach

WORKFLOWS: dict[str, Graph] = {
    "1_try_it": try_it.try_it(),
    **{f"2_teach_{family.key}": teach(family) for family in FAMILIES},
    "3_use_your_concept": use.use(),
    "4_two_concepts": use.two(),
    "5_class_images_try_it": two_stages.class_images(),
    "5_two_stages_sd35": two_stages.sd35(),
    "5_two_stages_try_it": two_stages.try_it(),
    "6_measure": measure.measure(),
}
"""The gallery sorts by name: try it, teach, use, two, two stages, measure."""

FACE, STYLE = "Face or character LoRA", "LoRA of a style"

BLUEPRINTS: dict[str, Graph] = {
    LEARN: one("learn", Node(learn(), {"class_word": ""})),
    COMPARE: one("compare", Node(compare())),
    FACE: one("learn", Node(replace(learn(), name=FACE), {"class_word": "person"})),
    STYLE: one("learn", Node(replace(learn(), name=STYLE), {"class_word": "style", "kind": "style"})),
}
"""The last two are the first under names that people search for."""
