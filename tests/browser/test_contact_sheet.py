"""The contact sheet on Concept Dataset, of a run that ends well and of one that fails, in both renderers."""

import io

import frontend
import numpy as np
import pytest
from PIL import Image

GRAPH = {
    "1": {"class_type": "PureCCTinyCheckpoint", "inputs": {}},
    "2": {"class_type": "PureCCExampleConcept", "inputs": {}},
    "3": {
        "class_type": "PureCCConceptDataset",
        "inputs": {
            "images": ["2", 0], "captions": "a [v] robot", "class_word": "robot", "kind": "instance",
            "resolution": 96, "crop": "center", "flip": False, "crops": 0, "vae": ["1", 2], "scene": "", "trigger": "",
        },
    },
}  # fmt: skip
LOAD = "async graph => { await app.loadApiJson(graph, 'sheet') }"
SHOWN = {
    False: "() => app.graph.getNodeById(3).imgs?.[0]?.naturalWidth && app.graph.getNodeById(3).imgs[0].src",
    True: """
() => [...document.querySelectorAll("[data-node-id='3'] img")].find(i => i.naturalWidth && i.src.includes("/view"))?.src
""",
}


def is_red(picture: np.ndarray) -> np.ndarray:
    return (np.abs(picture.astype(int) - (190, 20, 30)) < 25).all(-1)


@pytest.mark.parametrize("vue", [False, True], ids=["canvas", "vue"])
def test_the_sheet_is_on_the_node_and_says_what_is_wrong(page, server, vue):
    page.evaluate("async on => await app.extensionManager.setting.set('Comfy.VueNodes.Enabled', on)", vue)
    page.evaluate(LOAD, GRAPH)
    page.wait_for_timeout(1000)

    def run(caption):
        """How the run ends, and the sheet that is then on the node."""
        before = page.evaluate(SHOWN[vue])
        page.evaluate(
            "text => { app.graph.getNodeById(3).widgets.find(w => w.name === 'captions').value = text }", caption
        )
        ended = frontend.run(page)
        page.wait_for_function(
            f"before => {{ const now = ({SHOWN[vue]})(); return now && now !== before }}", arg=before
        )
        path = page.evaluate(SHOWN[vue]).split("/view?")[1]
        sheet = Image.open(io.BytesIO(server.client.get(f"/view?{path}")))
        return ended, np.asarray(sheet.convert("RGB"))

    ended, sheet = run("a [v] robot")
    assert ended["name"] == "execution_success"
    plain = int(is_red(sheet).sum())
    ended, sheet = run("a [v] robot\na [v] robot\na toy\na [v] robot\na [v] robot")
    assert ended["name"] == "execution_error"
    assert "Caption 3 of 5" in ended["exception_message"] and "not 'robot' either" in ended["exception_message"]
    assert int(is_red(sheet).sum()) > plain + 500
    ended, sheet = run("a [v] robot on red stripes")
    assert ended["name"] == "execution_success" and int(is_red(sheet).sum()) < plain + 100
    page.evaluate("async () => await app.extensionManager.setting.set('Comfy.VueNodes.Enabled', false)")
