"""List what is broken or behind in the translations of the nodes, their help pages and the panel.

COMFYUI_PATH=/path/to/ComfyUI python scripts/translations.py            lists it
COMFYUI_PATH=/path/to/ComfyUI python scripts/translations.py --english  prints what is to be translated
COMFYUI_PATH=/path/to/ComfyUI python scripts/translations.py --done ja  records that ja follows the English of today
"""

import argparse
import hashlib
import json
import re
from collections.abc import Iterator

from pack import ROOT, load_pack

LOCALES = ROOT / "locales"
PAGES = ROOT / "web" / "docs"
LANGUAGES = ("zh", "ja", "ko", "fr", "de", "es")


def english() -> dict:
    """Return the English texts of all nodes, in the host's layout of nodeDefs.json.

    An output that is called like its type is named by the host, in `dataTypes` of its own translations.
    """
    from purecc_pack.nodes import NODES

    return {schema.node_id: _texts(schema) for schema in (node.GET_SCHEMA() for node in NODES)}


def _texts(schema) -> dict:
    inputs = {entry.id: {"name": entry.display_name or entry.id, "tooltip": entry.tooltip} for entry in schema.inputs}
    outputs = {}
    for index, entry in enumerate(schema.outputs):
        name = entry.display_name or entry.get_io_type()
        named = {} if name == entry.get_io_type() else {"name": name}
        outputs[str(index)] = named | {"tooltip": entry.tooltip}
    texts = {"display_name": schema.display_name, "description": schema.description}
    return texts | {key: value for key, value in (("inputs", inputs), ("outputs", outputs)) if value}


def translated(language: str) -> dict:
    """Return the nodeDefs.json of a language; empty if there is none."""
    path = LOCALES / language / "nodeDefs.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def panel(language: str) -> dict[str, str]:
    """Return the words of the live panel in a language, by key; empty if there are none."""
    path = LOCALES / language / "main.json"
    return json.loads(path.read_text(encoding="utf-8"))["purecc"] if path.is_file() else {}


def page(node: str, language: str | None = None) -> str:
    """Return the help page of a node, in English without a language; empty if there is none."""
    path = PAGES / (f"{node}/{language}.md" if language else f"{node}.md")
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def flat(texts: dict, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield (path, text) of every text; a path is such as `PureCCApplyAdapter.inputs.model.tooltip`."""
    for key, value in texts.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def shape(text: str) -> dict:
    """Return what a translation of a page keeps: headings by level, images, links, code, rows of tables."""
    return {
        "headings": re.findall(r"^#+(?= )", text, re.MULTILINE),
        "pictures": re.findall(r"!\[[^\]]*\]\(([^)]*)\)", text),
        "links": re.findall(r"(?<!!)\[[^\]]*\]\(([^)]*)\)", text),
        "blocks of code": len(re.findall(r"(?:^ {4}\S.*\n)+", text, re.MULTILINE)),
        "rows": len(re.findall(r"^\|", text, re.MULTILINE)),
        "points": len(re.findall(r"^- ", text, re.MULTILINE)),
    }


SIGNS = ("[v]", "embedding:NAME", "L_CC", "NAME_best", ".json", "1e-4", "λ")
"""Markers, files and values that are the same in every language."""


def broken(language: str) -> list[str]:
    """Return what a translation must not hold, one line each: keys that do not exist, syntax, other titles."""
    source, theirs = english(), translated(language)
    wanted, found = dict(flat(source)), dict(flat(theirs))
    lines = [f"{key}: no such text in the nodes" for key in found if key not in wanted]
    for key in wanted.keys() & found.keys():
        # The front end compiles all but tooltips as messages, in which these are syntax.
        if not key.endswith("tooltip") and set(found[key]) & set("{}@|%"):
            lines.append(f"{key}: none of {{ }} @ | % may stand in it")
    for path in PAGES.glob(f"*/{language}.md"):
        node = path.parent.name
        if node not in source:
            lines.append(f"{node}: a help page without a node")
        elif page(node, language).partition("\n")[0] != f"# {found.get(f'{node}.display_name')}":
            lines.append(f"{node}: the help page's title is not the node's name")
    words = panel("en")
    lines += [f"panel.{key}: no such words" for key in panel(language) if key not in words]
    return sorted(lines)


def behind(language: str) -> list[str]:
    """Return what is to be translated, or translated again, one line each."""
    source = english()
    known = _known(language)
    lines = [*_texts_behind(source, translated(language)), *_pages_behind(source, language), *_panel_behind(language)]
    for what, sums in checksums(source).items():
        changed = [part for part in sums if known.get(what, {}).get(part) != sums[part]]
        lines += [f"{what}: the English {part} have changed since" for part in changed]
    return sorted(lines)


def _texts_behind(source: dict, theirs: dict) -> Iterator[str]:
    wanted, found = dict(flat(source)), dict(flat(theirs))
    same: dict[str, str] = {}
    for key, text in wanted.items():
        other = found.get(key, "")
        if not other.strip():
            yield f"{key}: missing"
        elif key.endswith(("tooltip", "description")):
            if other == text:
                yield f"{key}: still in English"
            if same.setdefault(text, other) != other:
                yield f"{key}: translated in another way elsewhere"
            yield from (f"{key}: {sign} differs" for sign in SIGNS if (sign in text) != (sign in other))


def _pages_behind(source: dict, language: str) -> Iterator[str]:
    theirs = translated(language)
    for node in source:
        original, other = page(node), page(node, language)
        if not other:
            yield f"{node}: no help page web/docs/{node}/{language}.md"
            continue
        before, after = shape(original), shape(other)
        yield from (f"{node}: {part} of the help page differ" for part in before if before[part] != after[part])
        names = {name: entry["name"] for name, entry in theirs.get(node, {}).get("inputs", {}).items()}
        for word in set(re.findall(r"(?<!\*)\*(\w+)\*(?!\*)", original)) & names.keys():
            if f"*{names[word]}*" not in other:
                yield f"{node}: the help page does not name the input *{names[word]}*"


def _panel_behind(language: str) -> Iterator[str]:
    words, others = panel("en"), panel(language)
    for key, text in words.items():
        if not others.get(key, "").strip():
            yield f"panel.{key}: missing"
        elif _braces(text) != _braces(others[key]):
            yield f"panel.{key}: what is in braces differs"


def _braces(text: str) -> list[str]:
    return sorted(re.findall(r"\{\w+\}", text))


def checksums(source: dict) -> dict:
    """Return checksums of the English texts and help page of each node, and of the panel's words."""
    sums = {node: {"texts": _sum(_written(source[node])), "help pages": _sum(page(node))} for node in source}
    return sums | {"panel": {"words": _sum(_written(panel("en")))}}


def _written(texts: dict) -> str:
    return json.dumps(texts, ensure_ascii=False)


def _sum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _known(language: str) -> dict:
    path = LOCALES / language / "source.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def main() -> int:
    """Return 1 if anything is to be done."""
    parser = argparse.ArgumentParser(description="List what is broken or behind in the translations.")
    parser.add_argument("--english", action="store_true", help="print the English texts as a nodeDefs.json")
    parser.add_argument(
        "--done", nargs="+", choices=LANGUAGES, metavar="LANGUAGE", help="these follow the English of today"
    )
    chosen = parser.parse_args()
    load_pack()
    if chosen.english:
        print(json.dumps(english(), ensure_ascii=False, indent=2))
        return 0
    for language in chosen.done or ():
        record = json.dumps(checksums(english()), indent=2)
        (LOCALES / language / "source.json").write_text(record + "\n", encoding="utf-8")
    found = {language: broken(language) + behind(language) for language in LANGUAGES}
    for language, lines in found.items():
        print(f"{language}: {len(lines) or 'nothing'} to do", *lines, sep="\n  ")
    return int(any(found.values()))


if __name__ == "__main__":
    raise SystemExit(main())
