"""The live panel in the real front end: it shows the run as it is, steers it, and comes back whole."""

import json
import urllib.error
import urllib.request

import frontend
import panels
import pytest
import translations
from panels import opened, queue, shown, text, wait

RENDERERS = ["canvas", "Vue"]
TOGGLE = "() => app.extensionManager.command.execute('Workspace.ToggleSidebarTab.purecc.run')"
TOASTS = ".p-toast, [data-testid=toast-viewport]"  # of the host, and of newer versions of its front end
SHIPPED = [language for language in translations.LANGUAGES if language != "de"]  # the front end has no German yet


@pytest.fixture
def page(shared_page):
    """The module's page, in which each test opens a workflow of its own and finds the side bar closed."""
    yield shared_page
    if shared_page.locator(".purecc-tab").count():
        shared_page.evaluate(TOGGLE)


def render(page, renderer: str) -> None:
    page.evaluate("on => app.extensionManager.setting.set('Comfy.VueNodes.Enabled', on)", renderer == "Vue")
    page.wait_for_timeout(500)


@pytest.fixture(params=RENDERERS)
def renderer(request, page):
    """Each of the host's two ways to draw nodes."""
    render(page, request.param)
    yield request.param
    render(page, "canvas")


def state(server, identity: str) -> dict:
    return server.client.get_json(f"/purecc/runs/{identity}")


def as_plotted(rows: list) -> dict:
    """The lines of the plots, from the history."""
    step, loss, smooth, lr, drift, lower, median, upper = range(8)

    def line(*columns):
        return [[row[step], *(row[c] for c in columns)] for row in rows if row[columns[0]] is not None]

    lines = {
        "loss": [line(loss), line(smooth)],
        "drift": [line(drift)],
        "scale": [line(lower, upper), line(median)],
        "rate": [line(lr)],
    }
    return {key: points for key, points in lines.items() if any(points)}


def press(page, node: int, request: str) -> None:
    """Clicks a button of the panel, brought to where it can be clicked."""
    page.evaluate(
        """id => {
          const node = app.graph.getNodeById(id), {ds} = app.canvas;
          ds.scale = 0.7;
          ds.offset = [600 - node.pos[0], 130 - node.pos[1]];
          app.canvas.setDirty(true, true);
        }""",
        node,
    )
    page.wait_for_timeout(300)
    page.locator(f".purecc-panel .purecc-{request}").click()


def side_bar(page):
    """The tab of the side bar, opened."""
    page.evaluate(TOGGLE)
    return page.locator(".purecc-tab")


IN_SIDE_BAR = "lines => lines.every(line => document.querySelector('.purecc-tab')?.innerText.includes(line))"


def stock(name: str) -> dict:
    """A picture with an adapter by the host's own nodes, in API format."""
    loaded = {"lora_name": f"{name}.safetensors", "strength_model": 1.0, "strength_clip": 1.0}
    sampled = {"seed": 1, "steps": 2, "cfg": 4.0, "denoise": 1.0, "sampler_name": "euler", "scheduler": "simple"}
    asked = {"positive": ["prompt", 0], "negative": ["nothing", 0], "latent_image": ["empty", 0]}
    nodes = {
        "base": ("PureCCTinyCheckpoint", {}),
        "lora": ("LoraLoader", {"model": ["base", 0], "clip": ["base", 1], **loaded}),
        "prompt": ("CLIPTextEncode", {"clip": ["lora", 1], "text": f"a embedding:{name} robot on grass"}),
        "nothing": ("CLIPTextEncode", {"clip": ["lora", 1], "text": ""}),
        "empty": ("EmptySD3LatentImage", {"width": 96, "height": 96, "batch_size": 1}),
        "sample": ("KSampler", {"model": ["lora", 0], **asked, **sampled}),
        "decode": ("VAEDecode", {"samples": ["sample", 0], "vae": ["base", 2]}),
        "show": ("PreviewImage", {"images": ["decode", 0]}),
    }
    return {name: {"class_type": kind, "inputs": inputs} for name, (kind, inputs) in nodes.items()}


def test_the_chart_is_the_history_and_stop_keeps_an_adapter_of_so_many_steps(page, server, renderer):
    from purecc_pack.purecc.adapters import files

    name = f"stopped_{renderer}"
    node = opened(page, name=name, steps=300, drift_every=2, sample_every=3, seed=len(renderer))
    assert shown(page, node) is None, "no room is taken before there is a run"
    queue(page, node)
    running = wait(page, node, "head.step >= 6 && samples.length >= 2")
    told = state(server, running["id"])
    count = len(running["rows"])
    assert running["rows"] == told["rows"][:count] and count >= 6
    plotted = {plot["key"]: [line["points"] for line in plot["lines"]] for plot in running["plots"]}
    drawn = len(plotted["loss"][0])
    assert count - 2 <= drawn and plotted == as_plotted(told["rows"][:drawn]), "what is drawn is the history"
    panels.wait_for_ink(page, node)
    assert text("step", step=running["head"]["step"], total=300) in running["text"]
    assert [width for _, width, _ in running["images"]] == [96, 96]
    assert [alt for alt, *_ in running["images"]] == [text("base"), text("now")]
    assert running["visible"] and not any(running["disabled"].values())
    press(page, node, "save")
    wait(page, node, "head.saved.length === 1")
    press(page, node, "stop")
    ended = wait(page, node, "head.state === 'stopped'")
    steps = ended["head"]["step"]
    assert text("stopped", step=steps, total=300) in ended["text"] and all(ended["disabled"].values())
    assert [row[0] for row in ended["rows"]] == list(range(1, steps + 1))
    assert ended["samples"][-1]["step"] == steps, "the last sample is of the last step"
    folders = [server.base / "models" / kind for kind in ("loras", "embeddings")]
    panels.idle(server)
    kept = files.load(*(folder / f"{name}.safetensors" for folder in folders))
    assert kept.metadata["purecc.steps"] == str(steps) and json.loads(kept.metadata["purecc.report"])["stopped"] is True
    (saved,) = ended["head"]["saved"]
    now = files.load(*(folder / f"{saved}.safetensors" for folder in folders))
    assert saved == f"{name}_step{now.metadata['purecc.steps']}" and now.id != kept.id
    before = server.log.stat().st_size
    assert len(server.client.run(stock(name))["show"]["images"]) == 1
    said = server.log.read_bytes()[before:]
    assert b"not loaded" not in said and b"does not exist" not in said, "the stock loader knows every weight"


def test_pure_learning_shows_the_scale_and_is_stopped_from_the_side_bar(page, server, renderer):
    """λ*: its median, and the band between its quartiles over the batch."""
    values = {"name": f"learned_{renderer}", "batch_size": 4, "steps": 100, "sample_every": 0, "seed": len(renderer)}
    node = opened(page, trainer="PureCCPureLearning", drift_every=2, **values)
    tab = side_bar(page)
    page.evaluate(panels.PREPARING, node)
    queue(page, node)
    running = wait(page, node, "head.step >= 6")
    prepared = page.evaluate("() => prepared")
    assert prepared and all([text, ["stop"], 0] == [line, off, plots] for text, line, off, plots in prepared)
    told = state(server, running["id"])["rows"]
    plotted = {plot["key"]: [line["points"] for line in plot["lines"]] for plot in running["plots"]}
    drawn = len(plotted["loss"][0])
    assert list(plotted) == ["loss", "drift", "scale", "rate"] and plotted == as_plotted(told[:drawn])
    band, median = plotted["scale"]
    assert len(band) == len(median) == drawn
    assert all(low <= middle <= high for (_, low, high), (_, middle) in zip(band, median, strict=True))
    panels.wait_for_ink(page, node)
    opacities = page.evaluate(panels.BAND, [node, "scale"])
    assert opacities and all(30 < opacity < 256 for opacity in opacities), "the band is filled"
    assert tab.inner_text().startswith(f"Pure Learning · learned_{renderer}")
    tab.locator(".purecc-stop").click()
    ended = wait(page, node, "head.state === 'stopped'")
    assert ended["line"].startswith(text("stopped", step=ended["head"]["step"], total=100))
    page.wait_for_function(IN_SIDE_BAR, arg=[ended["line"]])


def test_it_comes_back_whole_after_a_reload_and_in_a_second_page(page, server, chromium, renderer):
    """In mid-run, also where the connection has dropped; a finished run stays until the node runs again."""
    workflow = f"5f0c0000-0000-4000-8000-00000000000{len(renderer)}"
    name = f"reloaded_{renderer}"
    node = opened(page, workflow, name=name, steps=3000, drift_every=2, sample_every=3, seed=5)
    queue(page, node)
    before = wait(page, node, "head.step >= 4 && samples.length")
    page.wait_for_timeout(2500)  # until the front end has put the open workflow by
    page.reload()
    page.wait_for_function(frontend.READY)
    after = wait(page, node, "head.step >= 8")
    assert after["id"] == before["id"] and after["rows"][: len(before["rows"])] == before["rows"]
    assert after["rows"] == state(server, after["id"])["rows"][: len(after["rows"])]
    assert after["samples"][: len(before["samples"])] == before["samples"] and after["images"][0][1] == 96
    context = chromium.new_context(viewport={"width": 1600, "height": 1000})
    try:
        second = context.new_page()
        frontend.visit(second, server.address)
        assert opened(second, workflow) == node
        there = wait(second, node, f"head.step > {after['head']['step']}")
        assert there["id"] == after["id"] and there["rows"][0] == after["rows"][0]
        page.evaluate("() => app.api.socket.close()")
        again = wait(page, node, f"head.step > {there['head']['step'] + 2}")
        assert [row[0] for row in again["rows"]] == list(range(1, again["head"]["step"] + 1))
        second.evaluate("id => app.api.fetchApi(`/purecc/runs/${id}/stop`, {method: 'POST'})", after["id"])
        one, two = (wait(p, node, "head.state === 'stopped'") for p in (page, second))
        assert one["rows"] == two["rows"] == state(server, after["id"])["rows"]
        assert one["samples"] == two["samples"]
    finally:
        context.close()
    assert opened(page, workflow) == node
    kept = wait(page, node, "head.state === 'stopped'")
    assert kept["id"] == after["id"] and kept["rows"] == one["rows"]
    page.evaluate(panels.WIDGETS, [node, {"steps": 1, "seed": 6}])
    queue(page, node)
    assert wait(page, node, "head.state === 'finished'")["id"] != after["id"]
    assert after["id"] not in [run["id"] for run in server.client.get_json("/purecc/runs")["runs"]]


def test_a_run_over_the_api_takes_no_panel_from_a_workflow(page, server):
    """It names no workflow, and so may be of any with a node of that id, here one that no other test has."""
    here = {"above": 100, "steps": 2, "sample_every": 0}
    node = opened(page, name="ours", seed=14, **here)
    queue(page, node)
    ours = wait(page, node, "head.state === 'finished'")
    prompt = page.evaluate("async () => (await app.graphToPrompt()).output")
    prompt[str(node)]["inputs"]["name"] = "theirs"
    server.client.run(prompt)
    side_bar(page)
    page.wait_for_function(IN_SIDE_BAR, arg=["theirs", text("finished", total=2)])
    theirs = server.client.get_json("/purecc/runs")["runs"][-1]
    assert (theirs["node"], theirs["workflow"], theirs["name"]) == (str(node), None, "theirs")
    assert shown(page, node)["id"] == ours["id"] != theirs["id"]
    page.evaluate(panels.WIDGETS, [node, {"seed": 15}])
    queue(page, node)
    assert wait(page, node, "head.state === 'finished'")["id"] not in (ours["id"], theirs["id"])
    assert opened(page, **here) == node
    assert wait(page, node, "head.state === 'finished'")["id"] == theirs["id"], "where nothing else is to be shown"


def test_a_cancelled_and_a_failed_run_say_so(page, server):
    node = opened(page, name="cancelled", steps=300, seed=7, autosave_every=2, autosave_keep=1, sample_every=0)
    queue(page, node)
    wait(page, node, "head.step >= 3")
    server.client.interrupt()
    ended = wait(page, node, "head.state === 'cancelled'")
    assert text("cancelled", step=ended["head"]["step"], total=300) in ended["text"]
    (saved,) = ended["head"]["saved"]
    assert (server.base / "models" / "loras" / f"{saved}.safetensors").is_file(), "what was autosaved stays"
    page.evaluate(
        panels.WIDGETS, [node, {"steps": 4, "seed": 8, "learning_rate": 1.0, "embedding_learning_rate": 1e-2}]
    )
    page.evaluate("() => { window.failed = []; app.api.addEventListener('execution_error', e => failed.push(e)) }")
    page.evaluate(panels.WIDGETS, [node, {"sample_prompt": "a {b}"}])
    queue(page, node)
    failed = wait(page, node, "head.state === 'failed'")
    assert (
        text("early") in failed["text"] and failed["head"]["text"] in failed["text"] and "{" in failed["head"]["text"]
    )


def test_the_panel_is_no_part_of_the_file(page, server):
    """Widgets, values and sizes are those from before the run."""
    node = opened(page, name="unchanged", steps=2, seed=9)
    saved = "id => JSON.parse(JSON.stringify(app.graph.serialize().nodes.find(node => node.id === id)))"
    keys = ("size", "widgets_values", "inputs", "outputs", "properties")
    before = page.evaluate(saved, node)
    queue(page, node)
    wait(page, node, "head.state === 'finished'")
    after = page.evaluate(saved, node)
    assert {k: after[k] for k in keys} == {k: before[k] for k in keys}


def test_the_panel_speaks_the_language_of_the_page(page, server):
    node = opened(page, name="spoken", steps=2, sample_every=1, seed=13)
    queue(page, node)
    english = wait(page, node, "head.state === 'finished'")
    assert text("finished", total=2) in english["text"]
    speak = "language => app.extensionManager.setting.set('Comfy.Locale', language)"
    try:
        for language in SHIPPED:
            page.evaluate(speak, language)
            keys = {"finished": {"total": 2}, "at": {"step": 2}, "base": {}, "now": {}}
            said = [text(key, language, **values) for key, values in keys.items()]
            titles = [text(key, language) for key in ("loss", "drift", "rate")]
            # Waited for: the host takes its widgets off the page and puts them back when it has translated.
            page.wait_for_function(SAYS, arg=[node, said, text("stop", language), titles])
            page.wait_for_function(INSIDE, arg=node)
    finally:
        page.evaluate(speak, "en")
    titles = [text(key) for key in ("loss", "drift", "rate")]
    page.wait_for_function(SAYS, arg=[node, [text("finished", total=2)], text("stop"), titles])


SAYS = """
([id, words, stop, plots]) => {
  const {panel} = app.graph.getNodeById(id).widgets.find(widget => widget.name === "purecc_live");
  const drawn = panel.chart.drawn.map(plot => plot.title);
  const said = words.every(word => panel.element.innerText.includes(word)); // an ended run has no Stop to be seen
  return said && panel.buttons.button.stop.textContent === stop && String(drawn) === String(plots);
}
"""
INSIDE = """
id => {
  const node = app.graph.getNodeById(id), {ds} = app.canvas;
  const {panel} = node.widgets.find(widget => widget.name === "purecc_live");
  const bottom = (node.pos[1] + node.size[1] + ds.offset[1]) * ds.scale + app.canvas.canvas.getBoundingClientRect().top;
  const box = panel.element.getBoundingClientRect(), buttons = panel.buttons.element.getBoundingClientRect();
  return buttons.bottom < box.bottom && box.bottom <= bottom;
}
"""


# Whether a panel has the colours of a palette, light or dark, and its curves are drawn otherwise than before.
THEMED = """
([id, palette, before]) => {
  const {panel} = app.graph.getNodeById(id).widgets.find(widget => widget.name === "purecc_live");
  const style = getComputedStyle(panel.element);
  const [paper, ink] = [style.backgroundColor, style.color].map(colour => Number(colour.match(/\\d+/)[0]));
  return (palette === "light") === (paper > ink) && panel.chart.canvas.toDataURL() !== before;
}
"""
DRAWN = """
id => app.graph.getNodeById(id).widgets.find(widget => widget.name === "purecc_live").panel.chart.canvas.toDataURL()
"""


def test_the_panel_is_inside_its_node_and_in_the_colours_of_the_theme(page, server, renderer):
    """Also of a run that has ended, and is not drawn again by itself."""
    values = {"name": "coloured", "steps": 2, "seed": 12 + len(renderer)}
    node = opened(page, sample_prompt="a [v] robot\na car\na lake\na cat", **values)
    queue(page, node)
    wait(page, node, "head.state === 'finished'")
    palette = "name => app.extensionManager.setting.set('Comfy.ColorPalette', name)"
    try:
        for name in ("light", "dark"):
            before = page.evaluate(DRAWN, node)
            page.evaluate(palette, name)
            page.wait_for_function(THEMED, arg=[node, name, before])
            page.wait_for_function(INSIDE, arg=node)
    finally:
        page.evaluate(palette, "dark")


def test_the_samples_are_enlarged_and_their_history_is_walked(page, server):
    node = opened(page, name="drawn", steps=3, sample_every=1, seed=10, sample_prompt="a [v] robot\na red car")
    queue(page, node)
    ended = wait(page, node, "head.state === 'finished'")
    assert [(s["step"], s["prompt"]) for s in ended["samples"]] == [
        (step, prompt) for step in (1, 2, 3) for prompt in ("a [v] robot", "a red car")
    ]
    at = "([id, k]) => app.graph.getNodeById(id).widgets.find(w => w.name === 'purecc_live').panel.samples.choose(k)"
    latest = ended["images"]
    page.evaluate(at, [node, 0])
    page.wait_for_timeout(500)
    first = shown(page, node)
    assert text("at", step=1) in first["text"] and len(first["images"]) == 4 and first["images"] != latest
    page.evaluate("() => document.querySelector('.purecc-enlarge').click()")
    dialog = page.locator("dialog.purecc-dialog")
    dialog.wait_for()
    page.wait_for_timeout(500)
    widths = dialog.locator("img").evaluate_all("images => images.map(image => image.naturalWidth)")
    assert (
        widths == [96, 96]
        and " · ".join([text("at", step=1), "a [v] robot", text("seed", seed=10)]) in dialog.inner_text()
    )
    dialog.locator("input").evaluate("slider => { slider.value = 2; slider.dispatchEvent(new Event('input')) }")
    assert f"{text('at', step=3)} · a [v] robot" in dialog.inner_text()
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")


def test_the_panel_begins_with_the_dataset(page, server):
    """Of which it also says how long it took; the server has made none of this size before."""
    node = opened(page, name="phased", steps=1, sample_every=0, seed=21)
    dataset = page.evaluate("() => app.graph.nodes.find(n => n.comfyClass === 'PureCCConceptDataset').id")
    page.evaluate(panels.WIDGETS, [dataset, {"resolution": 80}])
    queue(page, node)
    wait(page, node, "head.state === 'finished'")
    before = page.evaluate(panels.BEFORE, node)
    assert [key for key, _ in before] == ["phase_read_images", "phase_encode_images"]
    assert all(seconds >= 0 for _, seconds in before)


def test_the_prompts_of_samples_are_edited_while_it_runs(page, server, renderer):
    """What cannot be read stays in the field, and the node keeps its own prompts."""
    values = {"steps": 2000, "sample_every": 0, "sample_prompt": "a [v] robot\na red car"}
    node = opened(page, name="edited", seed=14 + len(renderer), **values)
    queue(page, node)
    wait(page, node, "head.state === 'running'")
    press(page, node, "sample")
    wait(page, node, "samples.length === 2")
    press(page, node, "edit")
    field = page.locator("dialog.purecc-dialog textarea")
    assert field.input_value() == values["sample_prompt"]
    field.fill("two {lakes}")
    page.get_by_role("button", name=text("prompts_use")).click()
    page.locator(TOASTS).get_by_text("'two {lakes}'").wait_for()
    assert field.input_value() == "two {lakes}"
    field.fill("two lakes\n\na [v] robot\n")
    page.get_by_role("button", name=text("prompts_use")).click()
    field.wait_for(state="detached")
    edited = wait(page, node, "samples.length === 4")
    assert [sample["prompt"] for sample in edited["samples"][2:]] == ["two lakes", "a [v] robot"]
    own = "id => app.graph.getNodeById(id).widgets.find(widget => widget.name === 'sample_prompt').value"
    assert page.evaluate(own, node) == values["sample_prompt"]
    press(page, node, "stop")
    wait(page, node, "head.state === 'stopped'")
    assert page.locator(".purecc-edit").first.is_hidden()


@pytest.fixture(scope="module")
def ended(shared_page, server) -> str:
    """The id of a run that has ended."""
    node = opened(shared_page, name="refused", steps=1, sample_every=0, seed=11)
    queue(shared_page, node)
    return wait(shared_page, node, "head.state === 'finished'")["id"]


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status"),
    [
        ("GET", "/purecc/runs/unknown", {}, None, 404),
        ("GET", "/purecc/runs/..%2f..%2fmain.py", {}, None, 404),
        ("GET", "/purecc/runs/ID/samples/0/..%2fbase", {}, None, 404),
        ("GET", "/purecc/runs/ID/stop", {}, None, 404),
        ("DELETE", "/purecc/runs/ID", {}, None, 405),
        ("POST", "/purecc/runs/unknown/stop", {}, None, 404),
        ("POST", "/purecc/runs/ID/stop", {"Origin": "http://elsewhere.example"}, None, 403),
        ("POST", "/purecc/runs/ID/stop", {"Sec-Fetch-Site": "cross-site"}, None, 403),
        ("POST", "/purecc/runs/ID/stop", {}, b'{"path": "/etc/passwd"}', 400),
        ("POST", "/purecc/runs/ID/stop", {}, b"x" * 100_000, 413),
        ("POST", "/purecc/runs/ID/stop", {}, b"{}", 409),
    ],
)
def test_a_real_server_refuses_plainly(server, ended, method, path, headers, body, status):
    """The routes behind the host's own middleware; the run has ended, so that nothing may be asked of it."""
    before = state(server, ended)
    url = server.address + path.replace("ID", before["id"])
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(url, body, headers, method=method), timeout=60)
    said = refused.value.read()
    assert refused.value.code == status and len(said) < 300 and b"Traceback" not in said
    assert state(server, before["id"]) == before
