"""Remake docs/live.png: the panel of a run that is under way, by the paper's method, in the real front end.

python3 scripts/live_picture.py
"""

import sys

import help_pictures
import host
import studio
from help_graph import GRAPH, TRAIN, WATCH

STEPS, SEEN = 120, 70
WIDTH, SCALE = 400, 1.5
LEARN = {**TRAIN, **WATCH, "dataset": ["dataset", 0], "extractor": ["extract", 0], "method": "PureCC (paper)"}
LEARN |= {"name": "my_robot", "steps": STEPS, "sample_every": 20, "drift_every": 10, "best_drift": 0.05}
LEARN |= {"learning_rate": 0.002, "embedding_learning_rate": 0.002}
NODES = {key: GRAPH[key] for key in ("tiny", "concept", "dataset", "extract")}
NODES |= {"learn": ("PureCCPureLearning", LEARN), "save": ("PureCCSaveAdapter", {"adapter": ["learn", 0]})}
RUNNING = """
step => {
  const {head} = made.learn.widgets.find(widget => widget.name === "purecc_live")?.panel.run ?? {head: {}};
  return head.state !== "preparing" && head.step >= step;
}
"""
STOP = "() => made.learn.widgets.find(widget => widget.name === 'purecc_live').panel.buttons.button.stop.click()"


def make() -> None:
    """Make the picture, in an environment that has everything."""
    with studio.front_end(1200, 1500) as (page, _):
        page.evaluate("() => app.graph.clear()")
        page.evaluate(help_pictures.ADD, NODES)
        page.evaluate(help_pictures.PLACE, [[("learn", 480)]])
        page.evaluate("() => app.queuePrompt(0, 1)")
        page.wait_for_function(RUNNING, arg=SEEN)
        (host.ROOT / "docs" / "live.png").write_bytes(help_pictures.panel(page, "learn", WIDTH, SCALE))
        page.evaluate(STOP)


if __name__ == "__main__":
    sys.exit(studio.run(__file__, make))
