"""The method and its trainer. Nothing here imports the host, except in `host`."""

# SPDX-License-Identifier: GPL-3.0-or-later

VERSION = "0.1.0"
