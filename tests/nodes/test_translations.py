"""The nodes and their help pages in other languages."""

import json

import pytest
import translations


@pytest.mark.parametrize("language", translations.LANGUAGES)
def test_a_translation_holds_nothing_that_breaks_the_front_end(comfyui, language):
    assert translations.translated(language) and translations.panel(language)
    assert not translations.broken(language), "see scripts/translations.py"


def test_the_server_serves_names_and_help_in_every_language(server):
    served = server.client.get_json("/i18n")
    for language in translations.LANGUAGES:
        assert served[language]["nodeDefs"].items() >= translations.translated(language).items()
        for node in (node for node in translations.english() if translations.page(node, language)):
            page = server.client.get(f"/extensions/purecc/docs/{node}/{language}.md").decode()
            assert page.splitlines()[0] == f"# {served[language]['nodeDefs'][node]['display_name']}"


def test_faults_are_found(comfyui, tmp_path, monkeypatch):
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
    assert translations.broken("ja") == [
        "PureCCLoadAdapter.display_name: none of { } @ | % may stand in it",
        "PureCCLoadAdapter: the help page's title is not the node's name",
        "PureCCSaveAdapter.inputs.gone.name: no such text in the nodes",
        "panel.go: no such words",
    ]
    assert set(translations.behind("ja")) >= {
        "PureCCSaveAdapter.description: missing",
        "PureCCTinyCheckpoint: the English texts have changed since",
        "panel.step: what is in braces differs",
        "panel.stop: missing",
        "panel: the English words have changed since",
    }
