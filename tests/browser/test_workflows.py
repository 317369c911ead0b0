"""The bundled workflows in the real front end: listed, loaded without complaint, queued, and their pictures looked at.

Only steps and sizes are reduced. The graphs for other models run on stand-ins under the very file names: the same
architectures with random weights.
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
import templates
import torch
import workflow
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent.parent
WORKFLOWS = ROOT / "workflows"
CHECKPOINT = "sd3.5_medium_incl_clips_t5xxlfp8scaled.safetensors"
NAMES = sorted(file.stem for file in WORKFLOWS.glob("*.json"))
# What a graph loads from the loras folder, and the graph that saves it there.
LOADED = {
    "3_use_your_concept": {"my_concept": "2_teach_sd35"},
    "4_two_concepts": {"my_concept": "2_teach_sd35", "my_style": None},
    "6_measure": {"my_concept": "2_teach_sd35"},
}
TINY = ("1_try_it", "5_class_images_try_it", "5_two_stages_try_it")
TRIGGER_WORD = [f"2_teach_{key}" for key in ("chroma", "flux1_dev", "flux2_klein", "qwen_image", "z_image")]
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
  const { rootGraph } = app, draws = node => node.type === "KSampler" || node.title === "Before and after";
  for (const node of [rootGraph, ...rootGraph.subgraphs.values()].flatMap(graph => graph.nodes))
    for (const widget of node.widgets ?? []) {
      if (widget.name === "steps") widget.value = draws(node) ? sampling : training;
      if (widget.name === "class_word" && !widget.value) widget.value = "robot";
      if (widget.name === "pool_images") widget.value = 4;
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

RENDER = "on => app.extensionManager.setting.set('Comfy.VueNodes.Enabled', on)"
# Where Vue nodes are in the graph: left, top, right, bottom.
BOXES = """
() => new Promise(resolve => setTimeout(resolve, 500)).then(() => app.graph.nodes.map(({ id, pos: [x, y] }) => {
  const { offsetWidth: width, offsetHeight: height } = document.querySelector(`[data-node-id="${id}"]`);
  const top = y - LiteGraph.NODE_TITLE_HEIGHT;
  return [x, top, x + width, top + height];
}))
"""
# The scale at which the open graph is shown as a whole, and that from which on texts are drawn.
FITTED = """
async () => {
  await app.extensionManager.command.execute("Comfy.Canvas.FitView");
  await new Promise(resolve => setTimeout(resolve, 1000));
  return app.canvas.ds.scale;
}
"""
LEAST = "() => app.canvas.min_font_size_for_lod / LiteGraph.NODE_TEXT_SIZE"


# Where and how large nodes are follows from how tall a version of the front end draws them; newer ones write more.
OF_A_VERSION = ("frontendVersion", "pos", "size", "bounding", "widgets_values_named")


def read(name: str) -> dict:
    return json.loads((WORKFLOWS / f"{name}.json").read_text(encoding="utf-8"))


def described(saved):
    """What a description says of a graph, whichever version of the front end saved it."""
    if isinstance(saved, dict):
        kept = {key: described(value) for key, value in saved.items() if key not in OF_A_VERSION}
        return {key: value for key, value in kept.items() if (key, value) != ("widgets_values", [])}
    return [described(value) for value in saved] if isinstance(saved, list) else saved


def load(page, saved: dict) -> list[str]:
    """Loads a workflow and returns what the front end complains of."""
    frontend.load(page, saved)
    return page.evaluate(COMPLAINTS)


def pictures(server, prompt_id: str) -> dict[str, list[np.ndarray]]:
    """The images of a finished prompt by the prefix under which they were saved."""
    server.client.wait(prompt_id)  # the event of the end comes before the history
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
        shutil.copytree(ROOT / "purecc" / "tiny" / "concept", server.base / "input" / "my_concept", dirs_exist_ok=True)

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
        nodes = workflow.to_api(read(name), self.server.client.object_info()).values()
        saved = {node["inputs"]["name"] for node in nodes if node["class_type"] in TRAINERS}
        for file in [file for adapter in saved for file in self.files(adapter)]:
            file.unlink(missing_ok=True)
        made = run(page, self.server, name)
        for adapter in saved:
            lora, embedding = self.files(adapter)
            assert lora.is_file() and embedding.is_file() == (name not in TRIGGER_WORD)
        return made

    def copy(self, name: str, other: str) -> None:
        """Saves an adapter again under another name, turned round so that it is another one."""
        from purecc_pack.purecc.adapters import files

        adapter = files.load(*self.files(name))
        turned = {key: -tensor if "lora_up" in key else tensor for key, tensor in adapter.lora.items()}
        files.save(replace(adapter, name=other, lora=turned), self.loras, self.embeddings)


TRAINERS = ("PureCCTrainExtractor", "PureCCPureLearning")


@pytest.fixture(scope="session")
def stand_in(server, encoder_files):
    return StandIn(server)


@pytest.mark.parametrize("name", NAMES)
def test_every_workflow_has_a_picture(name):
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


def test_vue_nodes_stand_apart_too(shared_page):
    """They are taller than what the classic renderer draws."""
    shared_page.evaluate(RENDER, True)
    try:
        for name in NAMES:
            load(shared_page, read(name))
            boxes = shared_page.evaluate(BOXES)
            for i, (left, top, right, bottom) in enumerate(boxes):
                for a, b, c, d in boxes[:i]:
                    assert right <= a or c <= left or bottom <= b or d <= top, name
    finally:
        shared_page.evaluate(RENDER, False)


@pytest.mark.parametrize("name", NAMES)
def test_seeds_are_fixed(name):
    saved = read(name)
    graphs = (saved, *saved.get("definitions", {}).get("subgraphs", ()))
    values = [value for graph in graphs for node in graph["nodes"] for value in node.get("widgets_values") or []]
    assert "fixed" in values
    assert not {"randomize", "increment", "decrement"} & {value for value in values if isinstance(value, str)}


def test_the_templates_dialog_lists_all_and_opens_one(page):
    page.get_by_role("button", name="Templates").click()
    page.get_by_text("purecc", exact=True).click()
    for name in NAMES:
        page.get_by_test_id(f"template-workflow-{name}").wait_for()
    all_cards = page.locator("[data-testid^=template-workflow-]")
    cards = all_cards.evaluate_all("cards => cards.map(card => card.dataset.testid)")
    assert cards == [f"template-workflow-{name}" for name in NAMES], "sorted"
    page.get_by_test_id("template-workflow-1_try_it").click()
    page.wait_for_function("() => app.graph.nodes.some(node => node.type === 'PureCCExampleConcept')")
    assert page.evaluate("() => app.graph.nodes.length") == len(read("1_try_it")["nodes"])


def test_the_front_end_complains_of_what_is_missing(page):
    saved = read("3_use_your_concept")
    loader = next(node for node in saved["nodes"] if node["type"] == "CheckpointLoaderSimple")
    loader["widgets_values"] = ["absent.safetensors"]
    loader["properties"] = {}
    assert any("CheckpointLoaderSimple" in complaint for complaint in load(page, saved))
    loader["type"] = "NoSuchNode"
    assert "no NoSuchNode" in load(page, saved)


@pytest.mark.parametrize("name", NAMES)
def test_no_wire_runs_behind_a_node(name):
    """Every wire leads to a column on the right, and over several columns by points below them."""
    saved = read(name)
    columns = sorted({node["pos"][0] for node in saved["nodes"]})
    column = {node["id"]: columns.index(node["pos"][0]) for node in saved["nodes"]}
    routed = {link["id"] for link in saved["extra"].get("linkExtensions", ())}
    for number, source, _, target, *_ in saved["links"]:
        assert column[source] < column[target]
        assert number in routed or column[target] == column[source] + 1
    for point in saved["extra"].get("reroutes", ()):
        x, y = point["pos"]
        for node in saved["nodes"]:
            (left, top), (width, height) = node["pos"], node["size"]
            assert not (left <= x <= left + width and top <= y <= top + height)


def test_titles_of_the_first_graphs_are_drawn_on_a_small_screen(shared_page):
    """The front end fits a graph into 3/4 of the screen, and leaves texts out where they would be too small."""
    size = shared_page.viewport_size
    shared_page.set_viewport_size({"width": 1366, "height": 768})
    try:
        for name in [name for name in NAMES if name[0] in "123"]:
            saved = read(name)
            assert len(saved["nodes"]) <= 10
            load(shared_page, saved)
            assert shared_page.evaluate(FITTED) >= shared_page.evaluate(LEAST), name
    finally:
        shared_page.set_viewport_size(size)


@pytest.mark.parametrize("folder", templates.FOLDERS)
def test_the_files_are_what_their_descriptions_make(shared_page, server, folder):
    (server.base / "input" / "my_concept").mkdir(exist_ok=True)
    shared_page.evaluate("() => app.refreshComboInNodes()")
    graphs = templates.FOLDERS[folder]
    assert sorted(graphs) == sorted(file.stem for file in (ROOT / folder).glob("*.json"))
    for name, graph in graphs.items():
        saved = json.loads((ROOT / folder / f"{name}.json").read_text(encoding="utf-8"))
        built = templates.build(shared_page, name, graph)
        if built["extra"]["frontendVersion"] != saved["extra"]["frontendVersion"]:  # PURECC_FRONT_END
            built, saved = described(built), described(saved)
        assert built == saved, f"run scripts/templates.py {name}"


def test_every_workflow_is_saved_again_as_it_was_loaded(shared_page):
    """Nothing was added, dropped or mended on loading: the files fit the nodes as they are."""
    keys = ("id", "type", "mode", "title", "widgets_values", "inputs", "outputs")
    for name in NAMES:
        saved = read(name)
        load(shared_page, saved)
        again = shared_page.evaluate("async () => JSON.parse(JSON.stringify((await app.graphToPrompt()).workflow))")
        was, now = ({n["id"]: {k: n.get(k) or None for k in keys} for n in file["nodes"]} for file in (saved, again))
        assert now == was, name
        assert sorted(again["links"]) == sorted(saved["links"]), name


@pytest.mark.parametrize(
    ("name", "start", "adapters"),
    [
        ("1_try_it", "purecc/", ["quickstart_robot"]),
        ("5_class_images_try_it", "purecc/class_images_", ["class_images_extractor", "class_images_robot"]),
        ("5_two_stages_try_it", "purecc/two_stages_", ["two_stages_extractor", "two_stages_robot"]),
    ],
)
def test_the_quickstarts_run_and_their_pictures_are_right(shared_page, server, name, start, adapters):
    from purecc_pack.purecc.tiny import concept

    made = run(shared_page, server, name, training=3, sampling=4, side=None)
    references = [np.asarray(image) for image in concept.reference_images()]
    assert len(made[f"{start}references"]) == len(references) == 5
    assert all(np.array_equal(a, b) for a, b in zip(made[f"{start}references"], references, strict=True))
    base, customised = made[f"{start}base"], made[f"{start}customised"]
    for images in (base, customised):
        assert [image.shape for image in images] == [(96, 96, 3)] * 4
        assert not any(is_blank(image) for image in images)
        assert not np.array_equal(images[0], images[1])
    assert not any(np.array_equal(a, b) for a, b in zip(base, customised, strict=True))
    (curves,) = made[f"{start}curves"]
    assert curves.shape[1] == 640 and not is_blank(curves)
    if name == "1_try_it":
        dimmed = [np.abs(a.astype(int) - b).mean() for a, b in zip(made["purecc/masks"], references, strict=True)]
        assert min(dimmed) > 5
    # A picture is fetched when its node is drawn.
    shared_page.evaluate("() => app.extensionManager.command.execute('Comfy.Canvas.FitView')")
    shared_page.wait_for_timeout(1500)
    shown = shared_page.evaluate(SHOWN)
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


@pytest.mark.parametrize("name", [name for name in NAMES if name not in TINY])
def test_a_graph_for_another_model_runs_on_its_stand_in(name, stand_in, shared_page):
    made = stand_in.run(shared_page, name)
    assert made
    for prefix, images in made.items():
        assert not any(is_blank(image) for image in images), prefix
        if not prefix.endswith(("curves", "protocol")):
            assert [image.shape for image in images] == [(SIDE, SIDE, 3)]
    if name[0] in "235":
        start = "purecc/use" if name[0] == "3" else "purecc/my_concept"
        (before,), (after,) = made[f"{start}_before"], made[f"{start}_after"]
        assert not np.array_equal(before, after)
    if name == "6_measure":
        saved = (stand_in.server.base / "output" / "purecc").glob("my_concept_protocol_*.json")
        report = json.loads(max(saved).read_text(encoding="utf-8"))
        assert report["left_out"] == {} and report["drift"] > 0 and len(report["prompts"]) == 2
        measured = ("delta_clip_t", "seg_cons", "clip_i", "dino")
        assert all(row[measure] is not None for row in report["prompts"] for measure in measured)
