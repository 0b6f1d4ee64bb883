"""Breaks an agent that is started with this folder on its path: runs what stands in BROKEN."""

import os

exec(os.environ["BROKEN"])
