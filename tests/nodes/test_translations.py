"""The nodes and their help pages in other languages."""

import re

import pytest
import translations


@pytest.mark.parametrize("language", translations.LANGUAGES)
def test_every_text_is_translated_and_up_to_date(comfyui, language):
    assert not translations.faults(language), "see scripts/translations.py"


@pytest.mark.parametrize("language", translations.LANGUAGES)
def test_what_is_translated_is_no_longer_english(comfyui, language):
    source, found = (
        dict(translations.flat(texts)) for texts in (translations.english(), translations.translated(language))
    )
    sentences = [key for key in source if key.endswith(("tooltip", "description"))]
    assert len(sentences) > 200
    assert not [key for key in sentences if found[key] == source[key]]
    # Markers, files and values that the nodes read are the same in every language.
    for key in sentences:
        for sign in ("[v]", "embedding:NAME", "L_CC", "NAME_best", ".json", "1e-4", "λ"):
            assert (sign in source[key]) == (sign in found[key]), key


@pytest.mark.parametrize("language", translations.LANGUAGES)
def test_the_same_text_is_translated_the_same_everywhere(comfyui, language):
    source, found = (
        dict(translations.flat(texts)) for texts in (translations.english(), translations.translated(language))
    )
    seen: dict[str, str] = {}
    for key in source:
        if key.endswith(("tooltip", "description")):
            assert seen.setdefault(source[key], found[key]) == found[key], key


@pytest.mark.parametrize("language", translations.LANGUAGES)
def test_pages_call_inputs_by_the_names_that_the_nodes_show(comfyui, language):
    source, found = translations.english(), translations.translated(language)
    for node, texts in source.items():
        page = translations.page(node, language)
        for word in set(re.findall(r"(?<!\*)\*(\w+)\*(?!\*)", translations.page(node))) & set(texts.get("inputs", {})):
            assert f"*{found[node]['inputs'][word]['name']}*" in page, f"{node}: *{word}*"


def test_the_server_serves_names_and_help_in_every_language(server):
    served = server.client.get_json("/i18n")
    for language in translations.LANGUAGES:
        assert served[language]["nodeDefs"].items() >= translations.translated(language).items()
        for node in translations.english():
            page = server.client.get(f"/extensions/purecc/docs/{node}/{language}.md").decode()
            assert page.splitlines()[0] == f"# {served[language]['nodeDefs'][node]['display_name']}"


def test_the_panel_has_the_words_that_it_says(server):
    """Every key in the panel's code has words, and every word is said."""
    code = "".join(path.read_text(encoding="utf-8") for path in (translations.ROOT / "web" / "js").glob("*.js"))
    words = translations.panel("en")
    assert server.client.get_json("/i18n")["en"]["purecc"] == words
    said = set(re.findall(r'(?:say\("|"purecc\.(?=tab))(\w+)"', code)) | {"base", "now"}
    states, wishes = {"finished", "stopped", "cancelled", "failed", "lost"}, {"stop", "sample", "save"}
    assert set(words) == said | states | wishes | {f"{wish}_tip" for wish in wishes}


def test_a_fault_is_found(comfyui, tmp_path, monkeypatch):
    import json

    theirs = translations.translated("ja")
    del theirs["PureCCSaveAdapter"]["description"]
    theirs["PureCCSaveAdapter"]["inputs"]["gone"] = {"name": "無"}
    theirs["PureCCLoadAdapter"]["display_name"] = "a | b"
    (tmp_path / "ja").mkdir()
    (tmp_path / "ja" / "nodeDefs.json").write_text(json.dumps(theirs), encoding="utf-8")
    source = json.loads((translations.LOCALES / "ja" / "source.json").read_text(encoding="utf-8"))
    source["PureCCTinyCheckpoint"]["texts"] = "0" * 12
    (tmp_path / "ja" / "source.json").write_text(json.dumps(source), encoding="utf-8")
    for language, words in {"en": {"step": "step {step}", "stop": "Stop"}, "ja": {"step": "{n}", "go": "行く"}}.items():
        (tmp_path / language).mkdir(exist_ok=True)
        (tmp_path / language / "main.json").write_text(json.dumps({"purecc": words}), encoding="utf-8")
    monkeypatch.setattr(translations, "LOCALES", tmp_path)
    assert translations.faults("ja") == [
        "PureCCLoadAdapter.display_name: none of { } @ | % may stand in it",
        "PureCCLoadAdapter: the help page's title is not the node's name",
        "PureCCSaveAdapter.description: missing",
        "PureCCSaveAdapter.inputs.gone.name: no such text in the nodes",
        "PureCCTinyCheckpoint: the English texts have changed since",
        "panel.go: no such words",
        "panel.step: what is in braces differs",
        "panel.stop: missing",
        "panel: the English words have changed since",
    ]
