"""Where commands that work without the agent find its configuration."""

import argparse
import os
from pathlib import Path

from qfagent.config import DEFAULT_PATH


def path_of(arguments: argparse.Namespace) -> str:
    """The absolute path of the configuration."""
    return str(Path(arguments.config or os.environ.get("QFAGENT_CONFIG") or DEFAULT_PATH).absolute())
