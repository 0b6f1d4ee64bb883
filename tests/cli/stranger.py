"""Runs a command as another user: `stranger.py UID GID PROGRAM ARGUMENT ...`.

Everything is imported first, for that user may not read where Python is.
"""

import os
import sys

from qfagent.cli import assign, backup, clients, events, ingest, key, parser, pool, program, psrd, reload, status, table
from qfagent.dske import secret

assert [assign, backup, clients, events, ingest, key, pool, psrd, reload, secret, status]

uid, gid, name, *arguments = sys.argv[1:]
parser.parse(table.PROGRAMS[name], arguments)  # what argparse imports when it is used
os.setgroups([])
os.setresgid(int(gid), int(gid), int(gid))
os.setresuid(int(uid), int(uid), int(uid))
sys.exit(program.main(name, arguments))
