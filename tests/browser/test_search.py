"""Plain words find the pack's nodes among the first five of the host's node search."""

import pytest

# What the host lists first, once it has read the blueprints and how often nodes are used, which decides between equals.
FIRST = """
async word => {
  const stores = document.querySelector("#vue-app").__vue_app__.config.globalProperties.$pinia._s;
  const found = word => stores.get("nodeDef").nodeSearchService.searchNode(word).map(node => node.display_name);
  while (!stores.get("nodeFrequency")?.isLoaded || found("LoRA of a style")[0] !== "LoRA of a style")
    await new Promise(resolve => setTimeout(resolve, 50));
  return found(word).slice(0, 5);
}
"""
TRAIN = {"Pure Learning", "Train Extractor"}
IMAGES = {"Image Folder", "Concept Dataset"}
FACE, STYLE = {"Face or character LoRA"}, {"LoRA of a style"}
WORDS = {
    **dict.fromkeys(("train", "fine-tune", "finetune", "teach", "dreambooth"), TRAIN),
    "learn": TRAIN | {"Learn a concept"},
    "lora": STYLE,
    "style": STYLE,
    **dict.fromkeys(("face", "character"), FACE),
    "subject": TRAIN | IMAGES,
    **dict.fromkeys(("photos", "caption"), IMAGES),
}


@pytest.mark.parametrize("word", WORDS)
def test_a_plain_word_finds_the_right_node(shared_page, word):
    found = shared_page.evaluate(FIRST, word)
    assert WORDS[word] & set(found), found
