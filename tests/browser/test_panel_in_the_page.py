"""The panel in the real front end, with events and answers from the test in place of the server's."""

import json
import re

import frontend
import liveruns
import panels
import pytest
from panels import shown, text, wait

TELL = "([name, detail]) => app.api.dispatchEvent(new CustomEvent(name, {detail}))"
RUNS = re.compile(r"/api/purecc/runs$")
RUN = re.compile(r"/api/purecc/runs/[\w-]+$")
PICTURE = re.compile(r"/samples/\d+/")
CHOOSE = "([id, k]) => app.graph.getNodeById(id).widgets.find(w => w.name === 'purecc_live').panel.samples.choose(k)"
REQUEST = re.compile(r"/purecc/runs/[\w-]+/stop$")
LINE = """
([id, line]) =>
  app.graph.getNodeById(id).widgets.find(w => w.name === "purecc_live")?.panel.line.textContent === line
"""
SAYS = """
([id, parts]) => {
  const {panel} = app.graph.getNodeById(id).widgets.find(w => w.name === "purecc_live");
  return parts.every(part => panel.element.innerText.includes(part)); // innerText is empty until the node is laid out
}
"""
# By plot, how many pixels its outermost points are inside it, and over how many of its height its lines go.
INSIDE = """
id => {
  const {panel} = app.graph.getNodeById(id).widgets.find(w => w.name === "purecc_live");
  return Object.fromEntries(panel.chart.drawn.map(({key, lines, box, place}) => {
    const points = lines.flatMap(line => line.points.flatMap(([step, ...values]) => values.map(v => place(step, v))));
    const [xs, ys] = [0, 1].map(k => points.map(point => point[k]));
    const over = [Math.min(...xs) - box.x, box.x + box.width - Math.max(...xs),
                  Math.min(...ys) - box.y, box.y + box.height - Math.max(...ys)];
    return [key, [Math.min(...over), (Math.max(...ys) - Math.min(...ys)) / box.height]];
  }));
}
"""
FOCUS = "() => document.activeElement.className"


def tell(page, state: dict, name: str = "purecc.run") -> None:
    page.evaluate(TELL, [name, json.loads(json.dumps(state))])


@pytest.fixture
def page(shared_page):
    """The module's page, in which each test opens a workflow of its own and no answer is the test's any more."""
    yield shared_page
    shared_page.unroute_all()


@pytest.fixture
def node(page) -> int:
    """A training node in an open workflow."""
    return panels.opened(page)


def started(page, node: int, steps: int = 3, **options):
    """A run of the node, told up to that step."""
    run = liveruns.made(node=str(node), **options)
    for number in range(1, steps + 1):
        run.step(liveruns.step(number, drift=1e-4 * number))
    tell(page, run.state())
    return run


def test_a_run_that_prepares_says_with_what_and_why_not_to_stop_it(page, node):
    from purecc_pack.purecc.host.messages import Phase

    run = liveruns.made(node=str(node), can_sample=False)
    run.phase(Phase.FIND_MASKS, word="robot", number=2, count=5)
    tell(page, run.state())
    preparing = wait(page, node, "head.state === 'preparing'")
    assert preparing["line"] == text("phase_find_masks", word="robot", number=2, count=5) and not preparing["plots"]
    assert preparing["disabled"] == {"stop": True, "sample": True, "save": False}
    assert (preparing["titles"]["stop"], preparing["titles"]["sample"]) == (text("no_step"), text("no_vae"))
    run.step(liveruns.step(1))
    tell(page, run.state())
    running = wait(page, node, "head.state === 'running'")
    assert running["disabled"] == {"stop": False, "sample": True, "save": False}
    assert running["titles"]["stop"] == text("stop_tip")


def phase(key, seconds=None, left=None, **values) -> dict:
    return {"key": key, "values": values, "text": key, "seconds": seconds, "left": left}


DATASET = "() => String(app.graph.nodes.find(node => node.comfyClass === 'PureCCConceptDataset').id)"
HEIGHT = "id => app.graph.getNodeById(id).size[1]"
NO_PANEL = """
id => {
  const {panel} = app.graph.getNodeById(id).widgets.find(w => w.name === "purecc_live");
  return panel.run === null && !panel.element.checkVisibility();
}
"""


def test_phases_have_ticks_and_what_is_left_from_the_dataset_on(page, node):
    """Those of the dataset stay above those of the run."""
    from purecc_pack.purecc.host.messages import Phase

    dataset, reading = page.evaluate(DATASET), {"number": 2, "count": 5}
    tell(page, {"node": dataset, "phases": [phase("phase_read_images", left=65.0, **reading)]}, "purecc.preparing")
    waits = wait(page, node, "!head.id")
    left = text("left", time="1:05")
    assert waits["line"] == f"{text('phase_read_images', **reading)} · {left}" and all(waits["disabled"].values())
    read = phase("phase_read_images", seconds=70.0, number=5, count=5)
    tell(page, {"node": dataset, "phases": [read]}, "purecc.preparing")
    run = liveruns.made(node=str(node))
    run.phase(Phase.READ_CAPTIONS)
    run.phase(Phase.FIND_MASKS, word="robot", number=1, count=5)
    tell(page, run.state())
    preparing = wait(page, node, f"head.id === '{run.id}'")
    page.evaluate(TELL, ["execution_success", {}])
    ticks = page.locator(".purecc-panel .purecc-phases li").all_inner_texts()
    assert ticks == [
        f"✓ {text('phase_read_images', number=5, count=5)} · 1:10", f"✓ {text('phase_read_captions')} · 0:00"
    ]  # fmt: skip
    assert preparing["line"] == text("phase_find_masks", word="robot", number=1, count=5)
    run.step(liveruns.step(1))
    tell(page, run.state())
    wait(page, node, "head.state === 'running'")
    assert page.locator(".purecc-panel .purecc-phases li").count() == 0


@pytest.mark.parametrize(("k", "end"), enumerate(["execution_error", "execution_interrupted", "execution_success"]))
def test_a_dataset_without_a_run_leaves_the_node_as_it_was(page, k, end):
    node = panels.opened(page, above=10_000 * (k + 1))  # no other run of this server is of such an id
    before, dataset = page.evaluate(HEIGHT, node), page.evaluate(DATASET)
    tell(page, {"node": dataset, "phases": [phase("phase_read_images", number=1, count=5)]}, "purecc.preparing")
    wait(page, node, "!head.id")
    page.evaluate(TELL, [end, {}])
    page.wait_for_function(NO_PANEL, arg=node)
    page.wait_for_function(f"id => ({HEIGHT})(id) === {before}", arg=node)
    run = started(page, node, steps=1)
    assert wait(page, node, "head.step === 1")["id"] == run.id


def test_a_dataset_of_another_workflow_is_not_shown(page):
    """As that of a copy of a template, whose ids are the same; one of this workflow is."""
    node = panels.opened(page, above=50_000)
    read = [phase("phase_read_images", number=1, count=5)]
    for workflow in ("another", page.evaluate("() => app.graph.id")):
        assert shown(page, node) is None
        tell(page, {"node": page.evaluate(DATASET), "workflow": workflow, "phases": read}, "purecc.preparing")
        page.wait_for_timeout(500)
    wait(page, node, "!head.id")


def test_a_run_is_shown_again_after_a_dataset_that_failed(page, node):
    run, dataset = started(page, node), page.evaluate(DATASET)
    wait(page, node, "head.step === 3")
    tell(page, {"node": dataset, "phases": [phase("phase_read_images", number=1, count=5)]}, "purecc.preparing")
    wait(page, node, "!head.id")
    page.evaluate(TELL, ["execution_error", {}])
    assert wait(page, node, "head.step === 3")["id"] == run.id


def test_a_run_that_the_server_no_longer_knows_is_lost_and_a_new_one_is_not(page, node):
    """As after a restart of the server; the new run begins while the page asks what there is."""
    run, held = started(page, node), []
    wait(page, node, "head.step === 3")
    page.route(RUNS, lambda route: held.append(route))
    page.evaluate(TELL, ["reconnected", None])
    while not held:
        page.wait_for_timeout(50)
    another = liveruns.made(node="99")
    tell(page, another.state())
    held[0].fulfill(json={"runs": []})
    lost = wait(page, node, "head.state === 'lost'")
    assert lost["line"] == text("lost", step=3, total=10)
    assert all(lost["disabled"].values()) and len(lost["rows"]) == 3, "what it showed is still there"
    new = started(page, node, steps=1)
    assert wait(page, node, "head.state === 'running'")["id"] == new.id != run.id


def test_what_is_missed_while_an_answer_is_under_way_is_asked_for_again(page, node):
    """The run ends while the page waits: nothing more would ever be told."""
    run, held = started(page, node, steps=1), []
    wait(page, node, "head.step === 1")
    page.route(RUN, lambda route: held.append((route, run.state())))

    def answer(k):
        while len(held) <= k:
            page.wait_for_timeout(50)
        return held[k]

    for number in (2, 3):
        run.step(liveruns.step(number))
    tell(page, run.state(rows_from=2))  # the second step's event was lost
    first, then = answer(0)
    run.step(liveruns.step(4))
    run.end("finished")
    tell(page, run.state(rows_from=3))
    first.fulfill(json=then)
    second, now = answer(1)
    second.fulfill(json=now)
    assert [row[0] for row in wait(page, node, "rows.length === 4")["rows"]] == [1, 2, 3, 4]
    assert shown(page, node)["head"]["state"] == "finished"


def test_samples_that_the_server_has_forgotten_are_gone(page, node):
    """The panel then shows those of the nearest step."""
    run = started(page, node, most_samples=3)
    page.route(PICTURE, lambda route: route.fulfill(status=404))
    run.sample([liveruns.sample(number) for number in (1, 20, 25)])
    tell(page, run.state())
    wait(page, node, "samples.length === 3")
    page.evaluate(CHOOSE, [node, 1])
    wait(page, node, "samples.length === 3")
    assert [len(shown(page, node)["images"]), page.locator(".purecc-label").inner_text()] == [2, text("at", step=20)]
    run.sample([liveruns.sample(60)])
    tell(page, run.state(3, 3))
    kept = wait(page, node, "samples.some(sample => sample.number === 3)")
    assert [sample["step"] for sample in kept["samples"]] == [1, 25, 60]
    assert page.locator(".purecc-label").inner_text() == text("at", step=25)


def test_a_late_answer_takes_no_sample_away(page, node):
    run = started(page, node)
    page.route(PICTURE, lambda route: route.fulfill(status=404))
    before = run.state()
    run.sample([liveruns.sample(3)])
    tell(page, run.state(3))
    tell(page, before)
    run.sample([liveruns.sample(4)])
    tell(page, run.state(3, 1))
    assert [sample["step"] for sample in wait(page, node, "samples.length === 2")["samples"]] == [3, 4]


def test_a_long_history_is_taken_at_once(page):
    length = 200_000  # more than may be the arguments of a call
    taken = page.evaluate(
        """async length => {
          const {Run} = await import("/extensions/purecc/js/run.js"), run = new Run("a");
          const rows = Array.from({length}, (_, i) => [i + 1, 0.5]);
          run.absorb({columns: ["step", "loss"], step: length, from: 0, rows, samples_from: 0, samples: [], kept: []});
          return run.points("loss").length;
        }""",
        length,
    )
    assert taken == length


def test_a_sample_is_enlarged_by_the_keyboard(page, node):
    run = started(page, node)
    run.sample([liveruns.sample(1)])
    page.route(PICTURE, lambda route: route.fulfill(status=404))
    tell(page, run.state())
    wait(page, node, "samples.length === 1")
    for key in ("Enter", "Space"):
        page.locator(".purecc-enlarge").focus()
        page.keyboard.press(key)
        page.locator("dialog.purecc-dialog").wait_for()
        page.keyboard.press("Escape")
        page.locator("dialog.purecc-dialog").wait_for(state="detached")
        assert page.evaluate(FOCUS) == "purecc-enlarge", "back to where it was"


def test_the_best_so_far_says_its_rule_and_an_ended_run_its_time(page, node):
    run = started(page, node)
    run.best(name="mine_best", step=2, loss=0.25, drift=3e-4, bound=0.01)
    run.end("finished")
    tell(page, run.state() | {"seconds": 83})
    ended = wait(page, node, "head.state === 'finished'")
    assert ended["line"] == " · ".join([text("finished", total=10), "1:23", text("pace", seconds=1)])
    assert text("best", step=2, loss=0.25, drift="3.0e-4") in ended["text"]
    assert page.locator(".purecc-remark > div").get_attribute("title") == text("best_tip", bound=0.01)


def test_a_request_that_is_not_answered_or_refused_is_told(page, node):
    started(page, node)
    wait(page, node, "head.step === 3")
    stop = page.locator(".purecc-panel .purecc-stop")
    page.route(REQUEST, lambda route: route.abort())
    stop.evaluate("button => button.click()")
    page.get_by_text(text("unheard")).last.wait_for()
    page.unroute(REQUEST)
    stop.evaluate("button => button.click()")  # of a run that the server does not know
    page.get_by_text(text("no_run")).last.wait_for()


def test_what_the_server_says_is_translated(page, node):
    """A phase and a note; a key that the page does not know is told in the server's English."""
    from purecc_pack.purecc.host.messages import Message, Phase

    speak = "language => app.extensionManager.setting.set('Comfy.Locale', language)"
    try:
        page.evaluate(speak, "fr")
        run = liveruns.made(node=str(node))
        plan = {"checkpointed": 18, "blocks": 24, "minutes": 4}
        run.phase(Phase.TRAIN, **plan)
        run.note(Message("note_not_saved", {"step": 4, "error": "{full}"}))
        state = run.state()
        state["notes"].append({"key": "newer_than_the_page", "values": {}, "text": "English words"})
        tell(page, state)
        page.wait_for_function(LINE, arg=[node, text("phase_train", "fr", **plan)])
        noted = [text("note_not_saved", "fr", step=4, error="{full}"), "English words"]
        page.wait_for_function(SAYS, arg=[node, noted])
    finally:
        page.evaluate(speak, "en")


def test_a_page_without_words_has_its_panel_all_the_same(page, server):
    """The last test of this page, which it opens anew."""
    page.route(re.compile(r"/i18n$"), lambda route: route.abort())
    frontend.visit(page, server.address)
    node = panels.opened(page)
    started(page, node)
    assert wait(page, node, "head.step === 3")["visible"]


def test_the_outermost_dots_of_a_plot_are_whole_and_rounding_is_no_curve(page, node):
    run = started(page, node, steps=10)
    panels.wait(page, node, f"head.step === {run.state()['step']}")
    inside = page.evaluate(INSIDE, node)
    assert set(inside) == {"loss", "drift", "rate"} and all(over >= 2.9 for over, _ in inside.values()), inside
    assert inside["drift"][1] > 0.7 and inside["loss"][1] < 0.01, "the loss is 1 at every step"
