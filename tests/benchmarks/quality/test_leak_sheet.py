"""The sheet of what comes along: a ring where the probe sees what the training images share, and nowhere else."""

import pytest
import torch

pytestmark = pytest.mark.slow


def test_a_ring_marks_what_came_along(comfyui, tmp_path, monkeypatch):
    import leak_sheet
    import run
    from bench import World
    from concepts import CONCEPTS
    from PIL import Image
    from prompts import FEWER, asked

    from purecc_pack.tiny_world.renders import render
    from purecc_pack.tiny_world.scenes import Scene

    name, (_, shared) = "fish-3", CONCEPTS["fish-3"].confound
    (task,) = run.tasks(run.SECOND, [name], [], [leak_sheet.SEED])
    monkeypatch.setattr(run, "tasks", lambda *_: [task])
    monkeypatch.setattr(run, "STATE", tmp_path)
    monkeypatch.setattr(run, "RESULTS", tmp_path)
    world = World(tmp_path)
    with_it, without = (world.vae.encode(render([Scene("fish", "blue", b)])) for b in (shared, "snow"))
    count = len(asked(CONCEPTS[name], FEWER))
    for label in ("base", *leak_sheet.METHODS_SHOWN):
        latents = (with_it if label == "lora-token" else without).repeat(count, 1, 1, 1).half()
        base = label == "base"
        file = tmp_path / ("base" if base else run.SECOND)
        file = file / f"{name}-{leak_sheet.SEED}-{count}.pt" if base else file / name / f"{label}-{leak_sheet.SEED}.pt"
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.save(latents if base else {100: latents}, file)
    leak_sheet.main()
    sheet, side = Image.open(tmp_path / "leaks.png").convert("RGB"), leak_sheet.SIDE + leak_sheet.GAP
    top = 2 * leak_sheet.LINE

    def ringed(column: int) -> bool:
        left = leak_sheet.GAP + column * side
        pixels = [sheet.getpixel((left + leak_sheet.SIDE // 2, top + y)) for y in range(3, 8)]
        return any(r > 200 and g < 60 and b < 60 for r, g, b in pixels)

    assert [ringed(column) for column in range(2, 6)] == [False, True, False, False]
