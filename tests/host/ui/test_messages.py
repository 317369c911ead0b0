"""Texts by key: every key that the code uses has an English text."""

import json
import re

import translations

DYNAMIC = {"finished", "stopped", "cancelled", "failed", "lost", "stop", "sample", "save"}
"""Keys that the panel makes of a run's state and of its requests."""


def _used() -> set[str]:
    from purecc_pack.purecc.host.messages import Phase

    root = translations.ROOT
    script = "".join(path.read_text(encoding="utf-8") for path in (root / "web" / "js").glob("*.js"))
    server = "".join(
        path.read_text(encoding="utf-8") for folder in ("purecc", "nodes") for path in (root / folder).rglob("*.py")
    )
    keys = set(re.findall(r'(?:say\("|"purecc\.(?=tab))(\w+)"', script))
    keys |= set(re.findall(r'Message\(\s*"(\w+)"', server)) | set(re.findall(r'"(note_\w+)"', server))
    return keys | DYNAMIC | {f"{request}_tip" for request in ("stop", "sample", "save")} | {p.value for p in Phase}


def test_every_key_in_use_has_an_english_text(comfyui):
    assert not _used() - set(translations.panel("en"))


def test_a_message_fills_in_its_values_and_goes_over_the_wire(comfyui):
    from purecc_pack.purecc.host.messages import Message

    message = Message("note_not_saved", {"step": 4, "error": OSError("{full}")})
    assert "4" in str(message) and "{full}" in str(message)
    sent = json.loads(json.dumps(message.as_json()))
    assert sent == {"key": "note_not_saved", "values": {"step": 4, "error": "{full}"}, "text": str(message)}


def test_the_server_serves_the_texts(server):
    assert server.client.get_json("/i18n")["en"]["purecc"] == translations.panel("en")
