"""Says what is missing, needless or out of date in the translations of the nodes, their help pages and the panel.

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
    """The English texts of all nodes, in the host's layout of nodeDefs.json.

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
    """The nodeDefs.json of a language; empty if there is none."""
    path = LOCALES / language / "nodeDefs.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def panel(language: str) -> dict[str, str]:
    """The words of the live panel in a language, by key; empty if there are none."""
    path = LOCALES / language / "main.json"
    return json.loads(path.read_text(encoding="utf-8"))["purecc"] if path.is_file() else {}


def page(node: str, language: str | None = None) -> str:
    """The help page of a node, in English without a language; empty if there is none."""
    path = PAGES / (f"{node}/{language}.md" if language else f"{node}.md")
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def flat(texts: dict, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every text with its path, such as `PureCCApplyAdapter.inputs.model.tooltip`."""
    for key, value in texts.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def shape(text: str) -> dict:
    """What a translation of a page leaves as it is: headings by level, pictures, links, code, rows of tables."""
    return {
        "headings": re.findall(r"^#+(?= )", text, re.MULTILINE),
        "pictures": re.findall(r"!\[[^\]]*\]\(([^)]*)\)", text),
        "links": re.findall(r"(?<!!)\[[^\]]*\]\(([^)]*)\)", text),
        "blocks of code": len(re.findall(r"(?:^ {4}\S.*\n)+", text, re.MULTILINE)),
        "rows": len(re.findall(r"^\|", text, re.MULTILINE)),
        "points": len(re.findall(r"^- ", text, re.MULTILINE)),
    }


def faults(language: str) -> list[str]:
    """What is wrong with a translation, one line each."""
    source, theirs = english(), translated(language)
    wanted, found = dict(flat(source)), dict(flat(theirs))
    lines = [f"{key}: missing" for key in wanted if not found.get(key, "").strip()]
    lines += [f"{key}: no such text in the nodes" for key in found if key not in wanted]
    for key in wanted.keys() & found.keys():
        # The front end compiles all but tooltips as messages, in which these are syntax.
        if not key.endswith("tooltip") and set(found[key]) & set("{}@|%"):
            lines.append(f"{key}: none of {{ }} @ | % may stand in it")
    for node in source:
        original, other = page(node), page(node, language)
        if not other:
            lines.append(f"{node}: no help page web/docs/{node}/{language}.md")
            continue
        before, after = shape(original), shape(other)
        lines += [f"{node}: {part} of the help page differ" for part in before if before[part] != after[part]]
        if other.splitlines()[0] != f"# {found.get(f'{node}.display_name')}":
            lines.append(f"{node}: the help page's title is not the node's name")
    words, others = panel("en"), panel(language)
    lines += [f"panel.{key}: missing" for key in words if not others.get(key, "").strip()]
    lines += [f"panel.{key}: no such words" for key in others if key not in words]
    common = words.keys() & others.keys()
    lines += [
        f"panel.{key}: what is in braces differs" for key in common if _braces(words[key]) != _braces(others[key])
    ]
    known = _known(language)
    for what, sums in checksums(source).items():
        lines += [
            f"{what}: the English {part} have changed since"
            for part in sums
            if known.get(what, {}).get(part) != sums[part]
        ]
    return sorted(lines)


def _braces(text: str) -> list[str]:
    return sorted(re.findall(r"\{\w+\}", text))


def checksums(source: dict) -> dict:
    """Of each node's texts and help page, and of the panel's words, in English."""
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
    """Returns 1 if anything is to be done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
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
    found = {language: faults(language) for language in LANGUAGES}
    for language, lines in found.items():
        print(f"{language}: {len(lines) or 'nothing'} to do", *lines, sep="\n  ")
    return int(any(found.values()))


if __name__ == "__main__":
    raise SystemExit(main())
