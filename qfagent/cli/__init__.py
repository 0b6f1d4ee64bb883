"""The commands: each a row of a table, and callers of `local.client` only."""


def qfagent() -> int:
    """The agent's own program: the daemon, and what an operator asks of it."""
    return _main("qfagent")


def qufabric() -> int:
    """What the documentation of the network calls `qufabric dske ...`."""
    return _main("qufabric")


def qbt_local_distributor() -> int:
    """What the documentation of the network calls `qbt-local-distributor dske-client ...`."""
    return _main("qbt-local-distributor")


def _main(name: str) -> int:
    from qfagent.cli.program import main  # noqa: PLC0415  # whoever imports this package need not run a command

    return main(name)
