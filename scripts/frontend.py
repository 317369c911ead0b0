"""The real front end in a browser page, driven as a user would: opened, a workflow loaded, queued, awaited."""

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]

# The nodes are known, and the workflow that the front end opens by itself is open.
READY = """
() => window.LiteGraph?.registered_node_types?.KSampler && window.app?.extensionManager?.workflow?.activeWorkflow
"""
LOAD = "async saved => { await app.refreshComboInNodes(); await app.loadGraphData(saved, true, true) }"
RUN = """
minutes => new Promise(resolve => {
  setTimeout(() => resolve({name: "no end"}), minutes * 60000);
  const ends = ["execution_success", "execution_error", "execution_interrupted"];
  const done = event => {
    ends.forEach(name => app.api.removeEventListener(name, done));
    resolve({name: event.type, ...event.detail});
  };
  ends.forEach(name => app.api.addEventListener(name, done));
  app.queuePrompt(0, 1).then(taken => taken || resolve({name: "refused", errors: app.lastNodeErrors}));
})
"""


def visit(page, address: str) -> None:
    """Open the front end and wait until it is ready."""
    page.goto(address, timeout=180_000)
    page.wait_for_function(READY, timeout=180_000)


def load(page, saved: dict) -> None:
    """Load a workflow, after a refresh of the lists of files, and let the front end check it."""
    page.evaluate(LOAD, saved)
    page.wait_for_timeout(1500)


def run(page, minutes: float = 30) -> dict:
    """Queue what is loaded and return its last event: `name`, and what came with it (`prompt_id`, errors).

    The name is "refused" when the server found the prompt invalid, "no end" when the minutes have passed.
    """
    return page.evaluate(RUN, minutes)
