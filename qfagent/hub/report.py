"""What a hub tells local tools about itself; fields are added, never renamed."""

import msgspec

from qfagent.hub.role import Hub


class PoolReport(msgspec.Struct, frozen=True):
    """The pool: the names of its files, how many there should be, and how many are with somebody unknown."""

    files: tuple[str, ...]
    target: int
    handed_out: int


class HubStatus(msgspec.Struct, frozen=True):
    """A hub's part of the status. `clients` counts the bound and the unbound; `listen` is empty while it can't.

    `address` is where PSRD files say that it is reached.
    """

    id: str
    listen: str
    clients: dict[str, int]
    shares: int
    pool: PoolReport
    address: str = ""


async def report(hub: Hub) -> HubStatus:
    """The hub's part of the status."""
    clients, pool = await hub.run(lambda: (hub.books.clients.count(), _pool(hub)))
    return HubStatus(hub.id, hub.door.address, clients, hub.shares, pool, hub.address)


async def report_pool(hub: Hub) -> PoolReport:
    """The pool."""
    return await hub.run(lambda: _pool(hub))


def _pool(hub: Hub) -> PoolReport:
    ready, out = (hub.books.clients.with_handout(where) for where in ("ready", "out"))
    return PoolReport(tuple(f"{client.name}.json" for client in ready), hub.target, len(out))


async def issues(hub: Hub) -> dict[str, str]:
    """What an operator should see to, by code."""
    pool, waiting = await hub.run(lambda: (_pool(hub), hub.books.clients.waiting()))
    found = hub.door.issues
    if hub.provisioner.problem is not None:
        found["pool-problem"] = f"the pool can't be filled: {hub.provisioner.problem}"
    if len(pool.files) < pool.target and len(pool.files) + pool.handed_out >= hub.most_handed_out:
        found["handed-out-limit"] = f"{pool.handed_out} pool files are with somebody who has not registered"
    if waiting:
        names = ", ".join(sorted(f"{client.wanted} ({client.id})" for client in waiting))
        found["approval-waiting"] = f"waiting for approval: {names}"
    return found
