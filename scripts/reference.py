"""Write docs/nodes.md: every node with every input and output, from the nodes' own schemas.

COMFYUI_PATH=/path/to/ComfyUI python scripts/reference.py
"""

from pack import ROOT, load_pack

PAGE = ROOT / "docs" / "nodes.md"


def page() -> str:
    """The page, from the schemas of the pack that is loaded as `purecc_pack`."""
    from purecc_pack.nodes import NODES

    lines = ["# Nodes", "", "Written by `scripts/reference.py` from the nodes themselves.", ""]
    for node in NODES:
        schema = node.define_schema()
        lines += [f"## {schema.display_name}", "", schema.description, ""]
        rows = [_row(i) for i in schema.inputs]
        if rows:
            lines += ["| input | type | default | |", "|---|---|---|---|", *rows, ""]
        outputs = [f"| {o.display_name or o.get_io_type()} | {o.get_io_type()} | {o.tooltip} |" for o in schema.outputs]
        if outputs:
            lines += ["| output | type | |", "|---|---|---|", *outputs, ""]
    return "\n".join(lines)


def _row(entry) -> str:
    default = getattr(entry, "default", None)
    options = getattr(entry, "options", None)
    if options:
        default = options[0] if default is None else default
    shown = "" if default is None else f"`{default}`".replace("\n", " / ") if default != "" else "empty"
    marks = [m for m, on in (("optional", entry.optional), ("advanced", entry.advanced)) if on]
    kind = "choice" if options is not None else entry.get_io_type()
    kind = ", ".join([kind.replace(",", " or "), *marks])
    choices = f" Choices: {', '.join(options)}." if options and entry.id != "adapter_name" else ""
    if entry.id == "adapter_name":
        shown = ""
    return f"| {entry.id} | {kind} | {shown} | {entry.tooltip}{choices} |"


def main() -> None:
    """Write the page."""
    load_pack()
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
