"""The bundled workflows in the real front end: listed, loaded without complaint, queued, and their pictures looked at.

Only steps and sizes are reduced. The graphs for Stable Diffusion 3.5 run on a stand-in under the very file name: the
same architecture with random weights, small but for CLIP-L, which is as wide as the real one.
"""

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import frontend
import numpy as np
import pytest
import standin
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent.parent
WORKFLOWS = ROOT / "workflows"
CHECKPOINT = "sd3.5_medium_incl_clips_t5xxlfp8scaled.safetensors"
NAMES = (
    "quickstart",
    "quickstart_two_stages",
    "sd35_anchored",
    "sd35_extractor",
    "sd35_pure_learning",
    "sd35_generate",
    "sd35_end_to_end",
    "sd35_two_adapters",
    "sd35_protocol",
)
# What a graph loads from the loras folder, and the graph that saves it there.
LOADED = {
    "sd35_pure_learning": {"my_concept_extractor": "sd35_extractor"},
    "sd35_generate": {"my_concept": "sd35_pure_learning"},
    "sd35_two_adapters": {"my_concept": "sd35_pure_learning", "my_style": None},
    "sd35_protocol": {"my_concept": "sd35_pure_learning"},
}
SIDE = 64

COMPLAINTS = """
() => [
  ...[...document.querySelectorAll("[data-testid=error-overlay], [role=alertdialog]")].map(shown => shown.innerText),
  ...app.graph.nodes.filter(node => node.has_errors).map(node => `${node.type} is marked as wrong`),
  ...app.graph.nodes.filter(node => !LiteGraph.registered_node_types[node.type]).map(node => `no ${node.type}`),
]
"""
REDUCE = """
([training, sampling, side]) => {
  for (const node of app.graph.nodes)
    for (const widget of node.widgets ?? []) {
      if (widget.name === "steps") widget.value = node.type === "KSampler" ? sampling : training;
      if (side && ["width", "height", "resolution"].includes(widget.name)) widget.value = side;
      if (widget.name === "seeds") widget.value = 1;
      if (["prompts", "nouns"].includes(widget.name)) widget.value = widget.value.split("\\n").slice(0, 2).join("\\n");
    }
}
"""
SHOWN = """
() => Object.fromEntries(app.graph.nodes.filter(node => node.type === "SaveImage")
  .map(node => [node.widgets[0].value, node.imgs?.map(image => image.naturalWidth) ?? []]))
"""


def read(name: str) -> dict:
    return json.loads((WORKFLOWS / f"{name}.json").read_text(encoding="utf-8"))


def load(page, saved: dict) -> list[str]:
    """Loads a workflow and returns what the front end complains of."""
    frontend.load(page, saved)
    return page.evaluate(COMPLAINTS)


def pictures(server, prompt_id: str) -> dict[str, list[np.ndarray]]:
    """The images of a finished prompt by the prefix under which they were saved."""
    past = server.client.get_json(f"/history/{prompt_id}")[prompt_id]
    prompt, found = past["prompt"][2], {}
    for node, output in past["outputs"].items():
        if prompt[node]["class_type"] == "SaveImage":
            files = [Image.open(io.BytesIO(server.client.image(image))) for image in output["images"]]
            found[prompt[node]["inputs"]["filename_prefix"]] = [np.asarray(file.convert("RGB")) for file in files]
    return found


def run(page, server, name: str, training: int = 2, sampling: int = 2, side: int | None = SIDE):
    """Loads a bundled workflow, reduces its steps and sizes, queues it and returns its pictures."""
    assert load(page, read(name)) == []
    page.evaluate(REDUCE, [training, sampling, side])
    ended = frontend.run(page)
    assert ended["name"] == "execution_success", json.dumps(ended)[:3000]
    return pictures(server, ended["prompt_id"])


def is_blank(picture: np.ndarray) -> bool:
    return bool(picture.reshape(-1, 3).std(0).max() < 1.0)


class StandIn:
    """The folders of a server in which the graphs for Stable Diffusion 3.5 find what they name."""

    def __init__(self, server):
        self.server = server
        self.loras, self.embeddings = (server.base / "models" / kind for kind in ("loras", "embeddings"))
        checkpoints = server.base / "models" / "checkpoints"
        checkpoints.mkdir(parents=True, exist_ok=True)
        standin.write(checkpoints / CHECKPOINT, small_clip=False, dtype=torch.float16)
        shutil.copytree(ROOT / "purecc" / "tiny" / "concept", server.base / "input" / "my_concept")

    def files(self, name: str) -> list[Path]:
        return [folder / f"{name}.safetensors" for folder in (self.loras, self.embeddings)]

    def run(self, page, name: str) -> dict[str, list[np.ndarray]]:
        """Runs a graph after those whose files it loads; what it saves must be new."""
        for adapter, maker in LOADED.get(name, {}).items():
            if not all(file.is_file() for file in self.files(adapter)):
                if maker:
                    self.run(page, maker)
                else:
                    self.copy("my_concept", adapter)
        saved = {node["widgets_values"][0] for node in read(name)["nodes"] if node["type"] in TRAINERS}
        for file in [file for adapter in saved for file in self.files(adapter)]:
            file.unlink(missing_ok=True)
        made = run(page, self.server, name)
        assert all(file.is_file() for adapter in saved for file in self.files(adapter))
        return made

    def copy(self, name: str, other: str) -> None:
        """Saves an adapter again under another name, turned round so that it is another one."""
        from purecc_pack.purecc import files

        adapter = files.load(*self.files(name))
        turned = {key: -tensor if "lora_up" in key else tensor for key, tensor in adapter.lora.items()}
        files.save(replace(adapter, name=other, lora=turned), self.loras, self.embeddings)


TRAINERS = ("PureCCTrainExtractor", "PureCCPureLearning")


@pytest.fixture(scope="session")
def stand_in(server, encoder_files):
    return StandIn(server)


def test_these_are_the_bundled_workflows_each_with_a_picture():
    assert {file.stem for file in WORKFLOWS.glob("*.json")} == set(NAMES)
    for name in NAMES:
        with Image.open(WORKFLOWS / f"{name}.jpg") as picture:
            assert picture.format == "JPEG"
            assert min(picture.size) >= 256


@pytest.mark.parametrize("name", NAMES)
def test_nodes_stand_apart_inside_one_titled_group_each(name):
    saved = read(name)
    boxes = {n["id"]: (n["pos"][0], n["pos"][1] - 30, n["pos"][0] + n["size"][0], n["pos"][1] + n["size"][1])
             for n in saved["nodes"]}  # fmt: skip
    groups = [(x, y, x + w, y + h) for x, y, w, h in (group["bounding"] for group in saved["groups"])]
    for boxed in (list(boxes.values()), groups):
        for i, (left, top, right, bottom) in enumerate(boxed):
            for a, b, c, d in boxed[:i]:
                assert right <= a or c <= left or bottom <= b or d <= top
    for left, top, right, bottom in boxes.values():
        assert sum(a <= left and b <= top and right <= c and bottom <= d for a, b, c, d in groups) == 1
    assert all(group["title"] for group in saved["groups"])


@pytest.mark.parametrize("name", NAMES)
def test_seeds_are_fixed(name):
    values = [value for node in read(name)["nodes"] for value in node.get("widgets_values") or []]
    assert "fixed" in values
    assert not {"randomize", "increment", "decrement"} & {value for value in values if isinstance(value, str)}


def test_the_templates_dialog_lists_all_and_opens_one(page):
    page.get_by_role("button", name="Templates").click()
    page.get_by_text("purecc", exact=True).click()
    for name in NAMES:
        page.get_by_test_id(f"template-workflow-{name}").wait_for()
    page.get_by_test_id("template-workflow-quickstart").click()
    page.wait_for_function("() => app.graph.nodes.some(node => node.type === 'PureCCPureLearning')")
    assert page.evaluate("() => app.graph.nodes.length") == len(read("quickstart")["nodes"])


def test_the_front_end_complains_of_what_is_missing(page):
    saved = read("sd35_generate")
    loader = next(node for node in saved["nodes"] if node["type"] == "CheckpointLoaderSimple")
    loader["widgets_values"] = ["absent.safetensors"]
    loader["properties"] = {}
    assert any("CheckpointLoaderSimple" in complaint for complaint in load(page, saved))
    loader["type"] = "NoSuchNode"
    assert "no NoSuchNode" in load(page, saved)


def test_every_workflow_is_saved_again_as_it_was_loaded(page):
    """Nothing was added, dropped or mended on loading: the files fit the nodes as they are."""
    keys = ("id", "type", "mode", "title", "widgets_values", "inputs", "outputs")
    for name in NAMES:
        saved = read(name)
        load(page, saved)
        again = page.evaluate("async () => JSON.parse(JSON.stringify((await app.graphToPrompt()).workflow))")
        was, now = ({n["id"]: {k: n.get(k) or None for k in keys} for n in file["nodes"]} for file in (saved, again))
        assert now == was, name
        assert sorted(again["links"]) == sorted(saved["links"]), name


@pytest.mark.parametrize(
    ("name", "start", "adapters"),
    [
        ("quickstart", "purecc/", ["quickstart_robot"]),
        ("quickstart_two_stages", "purecc/two_stages_", ["two_stages_extractor", "two_stages_robot"]),
    ],
)
def test_the_quickstarts_run_and_their_pictures_are_right(page, server, name, start, adapters):
    from purecc_pack.purecc.tiny import concept

    made = run(page, server, name, training=3, sampling=4, side=None)
    references = [np.asarray(image) for image in concept.reference_images()]
    assert len(made[f"{start}references"]) == len(references) == 5
    assert all(np.array_equal(a, b) for a, b in zip(made[f"{start}references"], references, strict=True))
    base, customised = made[f"{start}base"], made[f"{start}customised"]
    for images in (base, customised, *(made[f"{start}{kind}_any_background"] for kind in ("base", "customised"))):
        assert [image.shape for image in images] == [(96, 96, 3)] * 4
        assert not any(is_blank(image) for image in images)
        assert not np.array_equal(images[0], images[1])
    assert not any(np.array_equal(a, b) for a, b in zip(base, customised, strict=True))
    (curves,) = made[f"{start}curves"]
    assert curves.shape[1] == 640 and not is_blank(curves)
    if name == "quickstart":
        dimmed = [np.abs(a.astype(int) - b).mean() for a, b in zip(made["purecc/masks"], references, strict=True)]
        assert min(dimmed) > 5
    page.wait_for_timeout(1000)
    shown = page.evaluate(SHOWN)
    assert {prefix: len(widths) for prefix, widths in shown.items()} == {k: len(v) for k, v in made.items()}
    for kind in ("loras", "embeddings"):
        assert all((server.base / "models" / kind / f"{adapter}.safetensors").is_file() for adapter in adapters)


def test_the_folder_loader_gives_what_example_concept_gives(stand_in, server):
    """The pictures and captions that the pack ships, read from ComfyUI's input folder by the stock node."""
    shown = {}
    for source, kind in (("PureCCExampleConcept", {}), ("LoadImageTextDataSetFromFolder", {"folder": "my_concept"})):
        prompt = {
            "1": {"class_type": source, "inputs": kind},
            "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": f"folder/{source}"}},
            "3": {"class_type": "PreviewAny", "inputs": {"source": ["1", 1]}},
        }
        outputs = server.client.run(prompt)
        images = [Image.open(io.BytesIO(server.client.image(image))) for image in outputs["2"]["images"]]
        pairs = zip(outputs["3"]["text"], images, strict=True)
        shown[source] = sorted((text, image.tobytes()) for text, image in pairs)
    assert len(shown["PureCCExampleConcept"]) == 5
    assert shown["PureCCExampleConcept"] == shown["LoadImageTextDataSetFromFolder"]


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("sd35")])
def test_a_graph_for_stable_diffusion_35_runs_on_the_stand_in(name, stand_in, page):
    made = stand_in.run(page, name)
    assert made
    for prefix, images in made.items():
        assert not any(is_blank(image) for image in images), prefix
        if not prefix.endswith(("curves", "protocol")):
            assert [image.shape for image in images] == [(SIDE, SIDE, 3)]
    if name in ("sd35_end_to_end", "sd35_anchored"):
        (before,), (after,) = made["purecc/my_concept_before"], made["purecc/my_concept_after"]
        assert not np.array_equal(before, after)
    if name == "sd35_protocol":
        saved = (stand_in.server.base / "output" / "purecc").glob("my_concept_protocol_*.json")
        report = json.loads(max(saved).read_text(encoding="utf-8"))
        assert report["left_out"] == {} and report["drift"] > 0 and len(report["prompts"]) == 2
        measured = ("delta_clip_t", "seg_cons", "clip_i", "dino")
        assert all(row[measure] is not None for row in report["prompts"] for measure in measured)
