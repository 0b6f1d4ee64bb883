"""The table of commands: what each is called, what it does, what it takes, and the function that does it.

* A row is data; its module is imported when the command is called, and never for help.
* Arguments are those of argparse. Secrets are no arguments.
"""

from typing import Any, Final


class Argument:
    """One argument: its names, and what argparse is told of it."""

    def __init__(self, *names: str, **options: Any) -> None:
        self.names, self.options = names, options


class Row:
    """One command. `run` is `module:function` in this package; `role` is who has it, if not both."""

    def __init__(self, words: str, does: str, run: str, arguments: tuple[Argument, ...] = (), role: str = "") -> None:
        self.words, self.does, self.run, self.arguments, self.role = words, does, run, arguments, role


class Program:
    """One program: what it is, and its commands; `groups` says what words are for that are no commands alone."""

    def __init__(self, name: str, does: str, rows: tuple[Row, ...], groups: dict[str, str]) -> None:
        self.name, self.does, self.rows, self.groups = name, does, rows, groups


SOCKET: Final = Argument(
    "--socket", metavar="PATH", help="the agent's socket; else QFAGENT_SOCKET, else /run/qufabric/qfagent.sock"
)
_CONFIG: Final = Argument(
    "--config", metavar="F", help="the configuration; else QFAGENT_CONFIG, else /etc/qufabric/qfagent.toml"
)
_JSON: Final = Argument("--json", action="store_true", help="print the agent's JSON")
_SHOW: Final = Argument("--show-key", action="store_true", help="print keys, in base64; --json does so, too")
_PEER: Final = Argument("peer", metavar="PEER", help="name of the other peer")
_BLOCK: Final = Argument("block", metavar="BLOCK", help="block id, see `qfagent ledger`")
_ID: Final = Argument("id", metavar="ID", help="client id, see `dske-client list`")
_OUTPUT: Final = "a new file, for its owner only; `-` is standard output"

_ASKING: Final = (_JSON, SOCKET)

_QFAGENT: Final = (
    Row("run", "runs the agent, in the foreground", "run:run", (_CONFIG,)),
    Row(
        "demo",
        "shows three hubs and two clients making a key, on this machine",
        "demo:run",
        (Argument("--managed", action="store_true", help="with a management server that says who is a hub"),),
    ),
    Row("check-config", "says whether the configuration is valid", "check_config:run", (_CONFIG, _JSON)),
    Row(
        "doctor",
        "looks at everything the agent needs, and names a remedy for what is wrong",
        "doctor:run",
        (_CONFIG, *_ASKING),
    ),
    Row("status", "shows everything at a glance", "status:show", _ASKING),
    Row(
        "top",
        "shows everything live, until `q` is pressed",
        "top:run",
        (Argument("--once", action="store_true", help="print one frame, for no terminal"), *_ASKING),
    ),
    Row("hubs", "lists the hubs and what is left with each", "hubs:show", _ASKING, "client"),
    Row(
        "hubs move",
        "says that a hub has another address",
        "hubs:move",
        (
            Argument("id", metavar="ID", help="hub id, see `qfagent hubs`"),
            Argument("address", metavar="HOST:PORT", help="where the hub is reached from now on"),
            *_ASKING,
        ),
        "client",
    ),
    Row("peers", "counts the keys made with each peer since the start", "peers:show", _ASKING, "client"),
    Row(
        "psrd",
        "shows what is left per hub and direction, and how long it lasts",
        "psrd:show",
        (Argument("--plot", action="store_true", help="draw past use and the forecast instead"), *_ASKING),
        "client",
    ),
    Row(
        "psrd resume",
        "lifts the stop of a block, or without BLOCK the store's fence",
        "psrd:resume",
        (Argument("block", metavar="BLOCK", nargs="?", help="block id, see `qfagent ledger`"), *_ASKING),
        "client",  # a block is; the fence is found in either role
    ),
    Row("psrd retire", "ends a block for good", "psrd:retire", (_BLOCK, *_ASKING), "client"),
    Row("ledger", "lists every block that was ever ingested", "ledger:show", _ASKING, "client"),
    Row(
        "events",
        "shows the latest events",
        "events:show",
        (Argument("-f", "--follow", action="store_true", help="show events as they happen instead"), *_ASKING),
    ),
    Row(
        "key establish",
        "makes keys with a peer, as their generator",
        "key:establish",
        (
            _PEER,
            Argument("--count", metavar="N", type=int, default=1, help="how many, 1 to 64; one by default"),
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
            Argument("key_id", metavar="KEY_ID", help="as the generator has it"),
            Argument("--peer", metavar="P", help="its generator, if two peers have used the id"),
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
        (Argument("-o", "--output", metavar="FILE", help=_OUTPUT), SOCKET),
        "hub",
    ),
    Row(
        "backup",
        "saves configuration, registry and tombstones, never pads",
        "backup:run",
        (Argument("file", metavar="FILE", help=_OUTPUT), SOCKET),
    ),
    Row(
        "restore",
        "puts a backup into an empty state folder, which is fenced then",
        "restore:run",
        (Argument("file", metavar="FILE", help="the backup"), _CONFIG, _JSON),
    ),
    Row(
        "netbird setup",
        "makes the group of the security hubs and its policy at a NetBird server",
        "netbird:setup",
        (Argument("--dry-run", action="store_true", help="only say what is missing"), _CONFIG, _JSON),
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
            Argument("file", metavar="FILE", help="the file; `-` is standard input"),
            Argument("--keep", action="store_true", help="leave the file as it is"),
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
        (Argument("name", metavar="NAME", help="the peer's name"), *_ASKING),
        "hub",
    ),
    Row("dske-client approve", "lets a waiting registration through", "clients:approve", (_ID, *_ASKING), "hub"),
    Row("dske-client list", "lists all clients", "clients:show", _ASKING, "hub"),
    Row(
        "dske-client assign-psrd",
        "makes PSRD for a client, and writes its file",
        "assign:run",
        (
            Argument("--first", action="store_true", help="refuse if the client has had PSRD before"),
            Argument("--user-bytes", metavar="N", type=int, required=True, help="from the client to the hub"),
            Argument("--server-bytes", metavar="N", type=int, required=True, help="from the hub to the client"),
            Argument("--user-id", metavar="ID", required=True, help="client id, see `dske-client list`"),
            Argument(
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
            Argument("id", metavar="ID", nargs="?", help="client id, see `dske-client list`"),
            Argument("--expire", metavar="DURATION", help="instead: files handed out so long ago and never used"),
            *_ASKING,
        ),
        "hub",
    ),
)


PROGRAMS: Final = {
    program.name: program
    for program in (
        Program(
            "qfagent",
            "keys for a WireGuard mesh that survive quantum computers",
            _QFAGENT,
            {"key": "making keys with other peers", "netbird": "a NetBird management server"},
        ),
        Program("qufabric", "the network's own words", _QUFABRIC, {"dske": "key agreement: the client's side"}),
        Program(
            "qbt-local-distributor",
            "a hub's clients and their PSRD",
            _LOCAL_DISTRIBUTOR,
            {"dske-client": "the hub's clients"},
        ),
    )
}
