"""Plain words find the pack's nodes among the first five of the host's node search."""

import pytest

# Waits until the host has read how often nodes are used, which decides between equals.
FIRST = """
async word => {
  const stores = document.querySelector("#vue-app").__vue_app__.config.globalProperties.$pinia._s;
  return stores.get("nodeDef").nodeSearchService.searchNode(word).slice(0, 5).map(({name}) => name);
}
"""
TRAIN = {"PureCCPureLearning", "PureCCTrainExtractor"}
IMAGES = {"PureCCImageFolder", "PureCCConceptDataset"}
WORDS = {
    **dict.fromkeys(("train", "fine-tune", "finetune", "teach", "dreambooth", "learn"), TRAIN),
    **dict.fromkeys(("style", "character", "subject"), TRAIN | IMAGES),
    **dict.fromkeys(("photos", "caption"), IMAGES),
    **{key: {"SubgraphBlueprint.LoRA of a face or character"} for key in ("lora", "face")},
}


@pytest.mark.parametrize("word", WORDS)
def test_a_plain_word_finds_the_right_node(shared_page, word):
    assert WORDS[word] & set(shared_page.evaluate(FIRST, word)), shared_page.evaluate(FIRST, word)
