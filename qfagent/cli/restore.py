"""`restore`: a backup into a state folder that is still empty, while no agent runs.

* The fence stands before what was restored is there: no crash leaves it unfenced.
* A configuration that is there stays; where there is none, that of the backup is written.
* Called by root, it works as the owner of the state folder, so that the agent can read what it leaves.
"""

import argparse
import os
import time
from functools import partial
from pathlib import Path
from typing import Any, Final

from qfagent import config
from qfagent.agent import MACHINE_ID
from qfagent.cli.configured import path_of
from qfagent.cli.files import new_file
from qfagent.cli.text import facts, show
from qfagent.config import Config
from qfagent.errors import AgentNotRunning, BadRequest, Invalid, NotFound, WrongState
from qfagent.local.exchange import Exchange
from qfagent.store import backup
from qfagent.store.backup import Backup
from qfagent.store.disk import RealDisk
from qfagent.store.fence import Reason
from qfagent.store.store import Store
from qfagent.world import World

UMASK: Final = 0o027
FENCE: Final = "restored"
_REMEDY: Final = "when the agent that was backed up is gone for good, say `qfagent psrd resume`"


def run(arguments: argparse.Namespace) -> None:
    """Restores, and says what."""
    os.umask(UMASK)
    path = Path(path_of(arguments))
    saved = _parse(Path(arguments.file).read_bytes())
    is_new = not path.exists()
    settings = config.parse(_text(saved, path)) if is_new else config.load(str(path))
    differs = not is_new and path.read_text() != saved.config
    _check_stopped(settings.control.socket)
    _restore(settings, saved)
    if is_new:
        _write_config(path, saved.config)
    written = {"config": str(path), "config_written": is_new, "config_differs": differs}
    show(arguments, _report(settings, saved) | written, _lines)


def _parse(data: bytes) -> Backup:
    try:
        return backup.parse(data)
    except BadRequest as error:
        raise Invalid("bad-backup", str(error)) from error


def _text(saved: Backup, path: Path) -> str:
    if not saved.config:
        raise NotFound(f"{path}: no such file, and the backup holds no configuration", remedy="write one first")
    return saved.config


def _check_stopped(socket: str) -> None:
    try:
        with Exchange(socket, timeout=1):
            pass
    except AgentNotRunning:
        return
    raise WrongState(f"an agent answers on {socket}", remedy="stop it first")


def _restore(settings: Config, saved: Backup) -> None:
    disk = RealDisk()
    disk.make_dir(settings.state_dir, 0o711)
    _become_owner(settings.state_dir)
    machine = MACHINE_ID.read_text().strip() if MACHINE_ID.exists() else ""
    store = Store(disk, settings.private, machine=machine, world=World())
    try:
        store.run(partial(_fill, store, saved))
    finally:
        store.close()


def _fill(store: Store, saved: Backup) -> None:
    """In one transaction, which is not committed before the fence stands."""
    backup.restore(store.database, saved)
    store.fence.put_up(Reason(FENCE, int(time.time()), "the state folder comes from a backup", _REMEDY))


def _become_owner(folder: str) -> None:
    owner = Path(folder).stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.setgroups([])
        os.setegid(owner.st_gid)
        os.seteuid(owner.st_uid)


def _write_config(path: Path, text: str) -> None:
    """As the system's own user again; the folder's group may read it, and so the agent may."""
    os.seteuid(os.getuid())
    with new_file(path) as file:
        file.write(text.encode())
        os.fchown(file.fileno(), -1, path.parent.stat().st_gid)
        os.fchmod(file.fileno(), 0o640)


def _report(settings: Config, saved: Backup) -> dict[str, Any]:
    counts = {"hubs": len(saved.hubs), "clients": len(saved.clients), "blocks": len(saved.blocks)}
    return {"state_dir": settings.state_dir, "fence": FENCE, **counts}


def _lines(report: dict[str, Any]) -> list[str]:
    differs = "kept; that of the backup is another" if report["config_differs"] else "kept"
    return facts(
        [
            ("state folder", f"{report['state_dir']}, fenced"),
            (
                "restored",
                f"{report['hubs']} hubs, {report['clients']} clients, {report['blocks']} blocks as tombstones",
            ),
            ("configuration", f"{report['config']}, {'written' if report['config_written'] else differs}"),
            ("next", f"start the agent; {_REMEDY}"),
        ]
    )
