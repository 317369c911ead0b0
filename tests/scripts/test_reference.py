"""The page of all nodes is what the nodes say."""

import reference


def test_the_page_is_up_to_date(comfyui):
    assert reference.PAGE.read_text(encoding="utf-8") == reference.page(), "run scripts/reference.py"
