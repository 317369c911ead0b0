"""Write docs/practice.md: usual values for training each family of models, as others publish them.

COMFYUI_PATH=/path/to/ComfyUI python scripts/practice.py
"""

from pack import ROOT, load_pack

PAGE = ROOT / "docs" / "practice.md"
HEAD = """# Usual values of the model families

Written by `scripts/practice.py` from `purecc/host/families`. These values come from the guides and examples of other
trainers, named in the last column. They were not measured here. Nodes do not set them by themselves, except the shift:
with *timestep_shift* 0 it is the model's own.

| family | resolution | guidance of samples | shift | target_layers | rank | learning rate | steps at batch 1 | source |
|---|---|---|---|---|---|---|---|---|
"""


def page() -> str:
    """The page, from the families of the pack that is loaded as `purecc_pack`."""
    from purecc_pack.purecc.host.families import listed_families

    rows = []
    for family in listed_families():
        if (usual := family.practice) is None:
            continue
        shift = "the model's own" if usual.shift is None else f"{usual.shift:g}"
        cells = [family.name, usual.resolution, f"{usual.guidance:g}", shift, usual.targets, usual.rank]
        cells += [f"{usual.rate:g}", "-" if usual.steps is None else usual.steps, usual.source]
        rows.append(f"| {' | '.join(map(str, cells))} |\n")
    return HEAD + "".join(rows)


def main() -> None:
    """Write the page."""
    load_pack()
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
