"""Names of stages and settings in the results, for those who read rows and those who make them."""

AS_RELEASED, UNTOUCHED = "pure learning, as released", "as released, untouched base"
ALL_BLOCKS, PAPER = "plain LoRA, all blocks", "pure learning, paper"
LEAN = "pure learning, layer-wise", "pure learning, frozen token"
"""The stages that an 8 GB card is to hold."""
WORK = "extractor", "plain LoRA", ALL_BLOCKS
"""The stages that do what TrainLoraNode does, or less."""
CARD, FP8 = "small, 7.2 GiB", "small, fp8, 5 GiB"
CAPS = {CARD: 7.2, FP8: 5.0}
"""GiB of a card."""

GIB = 2**30
USERS = "GiB of the user's models"
"""Among the details of a row of ours: what MODEL, CLIP and VAE take beside what training takes."""
LEFT_OUT = "T5's other layers"
"""Seconds that a released step would take longer with a whole T5, among the details of its row."""

ON_A_PROCESSOR = (
    (AS_RELEASED, "fast"),
    (AS_RELEASED, "small"),
    (UNTOUCHED, "fast"),
    *((stage, "fast") for stage in WORK),
)
"""The rows of ours that the targets of a processor ask for; others are measured when they are named."""
