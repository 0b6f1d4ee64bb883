"""The table of commands: what each is called, what it does, what it takes, and the function that does it.

* A row is data; its module is imported when the command is called, and never for help.
* Arguments are those of argparse. Secrets are no arguments.
"""

from typing import Any, Final, NamedTuple


class Argument(NamedTuple):
    """One argument: its names, and what argparse is told of it."""

    names: tuple[str, ...]
    options: dict[str, Any]


class Row(NamedTuple):
    """One command. `run` is `module:function` in this package; `role` is who has it, if not both."""

    words: str
    does: str
    run: str
    arguments: tuple[Argument, ...] = ()
    role: str = ""


def _argument(*names: str, **options: Any) -> Argument:
    return Argument(names, options)


SOCKET: Final = _argument(
    "--socket", metavar="PATH", help="the agent's socket; else QFAGENT_SOCKET, else /run/qufabric/qfagent.sock"
)
_CONFIG: Final = _argument(
    "--config", metavar="F", help="the configuration; else QFAGENT_CONFIG, else /etc/qufabric/qfagent.toml"
)
_JSON: Final = _argument("--json", action="store_true", help="print the agent's JSON")
_SHOW: Final = _argument("--show-key", action="store_true", help="print keys, in base64; --json does so, too")
_PEER: Final = _argument("peer", metavar="PEER", help="name of the other peer")
_BLOCK: Final = _argument("block", metavar="BLOCK", help="block id, see `qfagent ledger`")
_ID: Final = _argument("id", metavar="ID", help="client id, see `dske-client list`")
_OUTPUT: Final = "a new file, for its owner only; `-` is standard output"

_ASKING: Final = (_JSON, SOCKET)

_QFAGENT: Final = (
    Row("run", "runs the agent, in the foreground", "run:run", (_CONFIG,)),
    Row("demo", "shows three hubs and two clients making a key, on this machine", "demo:run"),
    Row("check-config", "says whether the configuration is valid", "check_config:run", (_CONFIG, _JSON)),
    Row("status", "shows everything at a glance", "status:show", _ASKING),
    Row("hubs", "lists the hubs and what is left with each", "hubs:show", _ASKING, "client"),
    Row(
        "hubs move",
        "says that a hub has another address",
        "hubs:move",
        (
            _argument("id", metavar="ID", help="hub id, see `qfagent hubs`"),
            _argument("address", metavar="HOST:PORT", help="where the hub is reached from now on"),
            *_ASKING,
        ),
        "client",
    ),
    Row("peers", "counts the keys made with each peer since the start", "peers:show", _ASKING, "client"),
    Row("psrd", "shows what is left per hub and direction, and how long it lasts", "psrd:show", _ASKING, "client"),
    Row(
        "psrd resume",
        "lifts the stop of a block, or without BLOCK the store's fence",
        "psrd:resume",
        (_argument("block", metavar="BLOCK", nargs="?", help="block id, see `qfagent ledger`"), *_ASKING),
    ),
    Row("psrd retire", "ends a block for good", "psrd:retire", (_BLOCK, *_ASKING), "client"),
    Row("ledger", "lists every block that was ever ingested", "ledger:show", _ASKING, "client"),
    Row(
        "events",
        "shows the latest events",
        "events:show",
        (_argument("-f", "--follow", action="store_true", help="show events as they happen instead"), *_ASKING),
    ),
    Row(
        "key establish",
        "makes keys with a peer, as their generator",
        "key:establish",
        (
            _PEER,
            _argument("--count", metavar="N", type=int, default=1, help="how many, 1 to 64; one by default"),
            _SHOW,
            *_ASKING,
        ),
        "client",
    ),
    Row(
        "key get",
        "recovers one key; it leaves the agent once",
        "key:get",
        (
            _argument("key_id", metavar="KEY_ID", help="as the generator has it"),
            _argument("--peer", metavar="P", help="its generator, if two peers have used the id"),
            _SHOW,
            *_ASKING,
        ),
        "client",
    ),
    Row(
        "key waiting",
        "recovers the oldest keys that wait from a peer; they leave once",
        "key:waiting",
        (_PEER, _SHOW, *_ASKING),
        "client",
    ),
    Row("pool", "lists the files that can be carried away", "pool:show", _ASKING, "hub"),
    Row(
        "pool take",
        "takes one file out of the pool for good",
        "pool:take",
        (_argument("-o", "--output", metavar="FILE", help=_OUTPUT), SOCKET),
        "hub",
    ),
    Row(
        "backup",
        "saves configuration, registry and tombstones, never pads",
        "backup:run",
        (_argument("file", metavar="FILE", help=_OUTPUT), SOCKET),
    ),
    Row(
        "restore",
        "puts a backup into an empty state folder, which is fenced then",
        "restore:run",
        (_argument("file", metavar="FILE", help="the backup"), _CONFIG, _JSON),
    ),
    Row("reload", "makes the agent read its configuration again", "reload:run", _ASKING),
)

_QUFABRIC: Final = (
    Row("dske status", "shows everything at a glance", "status:show", _ASKING),
    Row(
        "dske ingest-psrd",
        "ingests a PSRD file once, and erases it",
        "ingest:run",
        (
            _argument("file", metavar="FILE", help="the file; `-` is standard input"),
            _argument("--keep", action="store_true", help="leave the file as it is"),
            *_ASKING,
        ),
        "client",
    ),
)

_LOCAL_DISTRIBUTOR: Final = (
    Row(
        "dske-client add",
        "registers a client for a peer",
        "clients:add",
        (_argument("name", metavar="NAME", help="the peer's name"), *_ASKING),
        "hub",
    ),
    Row("dske-client approve", "lets a waiting registration through", "clients:approve", (_ID, *_ASKING), "hub"),
    Row("dske-client list", "lists all clients", "clients:show", _ASKING, "hub"),
    Row(
        "dske-client assign-psrd",
        "makes PSRD for a client, and writes its file",
        "assign:run",
        (
            _argument("--first", action="store_true", help="refuse if the client has had PSRD before"),
            _argument("--user-bytes", metavar="N", type=int, required=True, help="from the client to the hub"),
            _argument("--server-bytes", metavar="N", type=int, required=True, help="from the hub to the client"),
            _argument("--user-id", metavar="ID", required=True, help="client id, see `dske-client list`"),
            _argument(
                "-o",
                "--output",
                metavar="PATH",
                required=True,
                help="a new file, or a folder to put `<name>.json` into",
            ),
            *_ASKING,
        ),
        "hub",
    ),
    Row(
        "dske-client remove",
        "forgets a client, erases its PSRD and shares",
        "clients:remove",
        (
            _argument("id", metavar="ID", nargs="?", help="client id, see `dske-client list`"),
            _argument("--expire", metavar="DURATION", help="instead: files handed out so long ago and never used"),
            *_ASKING,
        ),
        "hub",
    ),
)


class Program(NamedTuple):
    """One program: what it is, and its commands; `groups` says what words are for that are no commands alone."""

    name: str
    does: str
    rows: tuple[Row, ...]
    groups: dict[str, str]


PROGRAMS: Final = {
    program.name: program
    for program in (
        Program("qfagent", "keys for a WireGuard mesh that survive quantum computers", _QFAGENT, {"key": "keys"}),
        Program("qufabric", "the network's own words", _QUFABRIC, {"dske": "key agreement: the client's side"}),
        Program(
            "qbt-local-distributor",
            "a hub's clients and their PSRD",
            _LOCAL_DISTRIBUTOR,
            {"dske-client": "the hub's clients"},
        ),
    )
}
