"""The method and its trainer. Only `host` imports ComfyUI."""

# SPDX-License-Identifier: GPL-3.0-or-later

import re
from pathlib import Path

_PROJECT = (Path(__file__).resolve().parents[1] / "pyproject.toml").read_text(encoding="utf-8")
VERSION = re.findall(r'^version = "(.+)"$', _PROJECT, re.MULTILINE)[0]
