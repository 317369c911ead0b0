"""The workflow that a node is executed in."""


def workflow_id(sent: dict | None) -> str | None:
    """Return the id of the workflow that the front end queued, from what it sends to be saved in images."""
    saved = (sent or {}).get("workflow")
    identity = saved.get("id") if isinstance(saved, dict) else None
    return identity if isinstance(identity, str) else None
