"""`python -m qfagent` is `qfagent`."""

import sys

from qfagent.cli import qfagent

if __name__ == "__main__":
    sys.exit(qfagent())
