"""The configuration: one closed, typed structure, read from TOML; what it holds is valid.

* An unknown key, a wrong type or a value out of range is refused with its path and what was expected.
* Durations are seconds here, shares of a whole are fractions; in the file they are "3s", "1h" and "20%".
"""

import re
import socket
import tomllib
from collections.abc import Callable, Iterable
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

import msgspec

from qfagent import __version__
from qfagent.dske import ids
from qfagent.dske.pad import MAX_PAD, MIN_PAD
from qfagent.dske.psrd import DEFAULT_PORT, is_host
from qfagent.errors import BadConfig

VERSION: Final = __version__
DEFAULT_PATH: Final = "/etc/qufabric/qfagent.toml"
DEFAULT_STATE: Final = "/var/lib/qufabric/dske"
DEFAULT_SOCKET: Final = "/run/qufabric/qfagent.sock"
MANAGEMENT_PORT: Final = 33073


class Seconds(float):
    """A duration: a number and `ms`, `s`, `m`, `h` or `d` in the file."""

    __slots__ = ()


class Fraction(float):
    """A share of a whole: a number and `%` in the file."""

    __slots__ = ()


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What all parts of the structure have in common: nothing unknown is let in."""


PadSize = Annotated[int, msgspec.Meta(ge=MIN_PAD, le=MAX_PAD)]
Binding = Literal["open", "manual", "address"]
HubId = Annotated[str, msgspec.Meta(pattern=rf"\A{ids.HEX_ID}\Z")]


class Control(Section, frozen=True):
    """The control socket, and the groups that may use it."""

    socket: str = DEFAULT_SOCKET
    group: str = "qufabric"
    admin_group: str = "qbtld"

    def __post_init__(self) -> None:
        _check_absolute(self.socket, "socket")


class Provisioner(Section, frozen=True):
    """The pool of PSRD files. `directory` empty: `psrd-out` in the state folder."""

    directory: str = ""
    pool_size: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 5
    interval: Seconds = Seconds(10)
    user_bytes: PadSize = 131_072
    server_bytes: PadSize = 131_072
    max_handed_out: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1000

    def __post_init__(self) -> None:
        _check_absolute(self.directory or "/", "directory")
        _check_range(self.interval, "interval", least=0.1, most=3600)


class HubSection(Section, frozen=True):
    """Used in role `hub`. `id` empty: made once, and kept in the state folder.

    `binding` empty: `address` if the agent is managed, else `open`. What is empty else, a managed agent takes from its
    view.
    """

    id: Annotated[str, msgspec.Meta(pattern=rf"\A({ids.HEX_ID})?\Z")] = ""
    fqdn: str = ""
    listen: str = ""
    share_ttl: Seconds = Seconds(3600)
    binding: Literal["", "open", "manual", "address"] = ""
    provisioner: Provisioner = msgspec.field(default_factory=Provisioner)

    def __post_init__(self) -> None:
        _check_range(self.share_ttl, "share_ttl", least=1, most=86_400)
        if self.fqdn and not is_host(self.fqdn):
            raise ValueError("fqdn: expected a host name or an IP address")
        if self.listen:
            parse_address(self.listen)


class ClientSection(Section, frozen=True):
    """Used in role `client`. `inbox` empty: `psrd-in` in the state folder; `hubs` empty: any."""

    inbox: str = ""
    shares_required: Annotated[int, msgspec.Meta(ge=2, le=16)] = 2
    hubs: tuple[HubId, ...] = ()
    hub_timeout: Seconds = Seconds(3)
    low_psrd: Fraction = Fraction(0.2)
    scan_interval: Seconds = Seconds(10)

    def __post_init__(self) -> None:
        _check_absolute(self.inbox or "/", "inbox")
        _check_range(self.hub_timeout, "hub_timeout", least=0.05, most=20)
        _check_range(self.scan_interval, "scan_interval", least=0.1, most=3600)


class Management(Section, frozen=True):
    """The management server, from both sides.

    In role `management`: `listen` empty is the interface's first address; `token_file` empty is `operator-token` in the
    private folder; `networks` is where peers may come from, empty: from anywhere.
    In role `managed`: `url` is the server's, `address` is what this peer calls from, where that is not as usual;
    `setup_key_file` lets it enrol at a qfagent server, `token_file` holds a token for NetBird's API.
    """

    listen: str = ""
    public_url: str = ""
    token_file: str = ""
    networks: tuple[str, ...] = ()
    shares_required: Annotated[int, msgspec.Meta(ge=2, le=16)] = 2
    kind: Literal["qfagent", "netbird"] = "qfagent"
    url: str = ""
    address: str = ""
    setup_key_file: str = ""

    def __post_init__(self) -> None:
        _check_absolute(self.token_file or "/", "token_file")
        _check_absolute(self.setup_key_file or "/", "setup_key_file")
        if self.listen:
            parse_address(self.listen)
        _check_url(self.public_url, "public_url")
        _check_url(self.url, "url")
        if self.address and not is_host(self.address):
            raise ValueError("address: expected an IP address of this machine")
        for network in self.networks:
            _check_network(network, "networks")


class Log(Section, frozen=True):
    """What is written to the log, which is standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class Config(Section, frozen=True):
    """The whole of it."""

    name: str = ""
    role: Literal["client", "hub", "managed", "management"] = "client"
    interface: Annotated[str, msgspec.Meta(pattern=r"\A[^\s/]{0,15}\Z")] = "wg0"
    state_dir: str = DEFAULT_STATE
    control: Control = msgspec.field(default_factory=Control)
    hub: HubSection = msgspec.field(default_factory=HubSection)
    client: ClientSection = msgspec.field(default_factory=ClientSection)
    management: Management = msgspec.field(default_factory=Management)
    log: Log = msgspec.field(default_factory=Log)

    def __post_init__(self) -> None:
        _check_absolute(self.state_dir, "state_dir")
        if not ids.matches(ids.PEER_NAME, self.peer):
            raise ValueError(
                f"name: expected a peer name (1-63 of a-z 0-9 . _ -, not beginning with pool-), got {self.peer!r}"
            )
        if self.role == "hub" and not self.hub.fqdn:
            raise ValueError("hub.fqdn: missing, expected the name or address that clients reach this hub at")
        if self.role == "hub" and not self.interface and not self.hub.listen:
            raise ValueError("hub.listen: missing, expected host:port, since no interface is given")
        if self.role != "managed" and self.hub.binding == "address":
            raise ValueError('hub.binding: "address" needs a management server: expected role = "managed"')
        if self.role == "managed":
            self._check_managed()
        if self.role == "management" and not self.interface and not self.management.listen:
            raise ValueError("management.listen: missing, expected host:port, since no interface is given")

    @property
    def peer(self) -> str:
        """This machine's peer name; by default the host name."""
        return self.name or socket.gethostname().lower()

    def _check_managed(self) -> None:
        kind, given = self.management.kind, self.management
        if not given.url:
            raise ValueError("management.url: missing, expected the URL of the management server")
        if kind == "qfagent" and not given.setup_key_file:
            raise ValueError("management.setup_key_file: missing, expected the file with the setup key")
        if kind == "netbird" and not given.token_file:
            raise ValueError("management.token_file: missing, expected the file with a token for NetBird's API")

    def with_parts(self, **parts: dict[str, Any]) -> "Config":
        """The configuration with other values in some of its sections."""
        changed = {name: msgspec.structs.replace(getattr(self, name), **values) for name, values in parts.items()}
        return msgspec.structs.replace(self, **changed)

    @property
    def binding(self) -> Binding:
        """Who may claim a name with a pool file."""
        return self.hub.binding or ("address" if self.role == "managed" else "open")

    @property
    def private(self) -> str:
        """The folder of everything of the agent's own."""
        return f"{self.state_dir}/private"

    @property
    def inbox(self) -> str:
        """Where PSRD files are dropped."""
        return self.client.inbox or f"{self.state_dir}/psrd-in"

    @property
    def token_file(self) -> str:
        """Where the operators' tokens are read, and the first one is written."""
        return self.management.token_file or f"{self.private}/operator-token"

    @property
    def pool(self) -> str:
        """Where PSRD files wait to be carried away."""
        return self.hub.provisioner.directory or f"{self.state_dir}/psrd-out"


def load(path: str) -> Config:
    """The configuration in a file; BadConfig says what was expected, and where."""
    try:
        text = Path(path).read_bytes().decode()
    except OSError as error:
        raise BadConfig(f"{path}: {(error.strerror or 'not readable').lower()}") from error
    except UnicodeDecodeError as error:
        raise BadConfig(f"{path}: expected UTF-8 text") from error
    try:
        return parse(text)
    except BadConfig as error:
        raise BadConfig(f"{path}: {error}") from error


def parse(text: str) -> Config:
    """The configuration in a TOML text; BadConfig."""
    try:
        table = tomllib.loads(text)
    except RecursionError as error:
        raise BadConfig("expected TOML: nested too deeply") from error
    except ValueError as error:  # a number of thousands of digits is no TOMLDecodeError
        raise BadConfig(f"expected TOML: {error}") from error
    try:
        return msgspec.convert(table, Config, dec_hook=_from_text)
    except msgspec.ValidationError as error:
        raise BadConfig(_explain(str(error))) from error


def parse_address(text: str, *, port: int = DEFAULT_PORT) -> tuple[str, int]:
    """Host and port of `host:port`, `[v6]:port` or `host`, which gets the default port; ValueError."""
    match = re.fullmatch(r"(?:\[([^\]]+)\]|([^:\[\]]+))(?::([0-9]{1,5}))?", text)
    host = (match[1] or match[2]) if match else ""
    port = int(match[3] or port) if match else 0
    if not is_host(host) or not 1 <= port <= 65535:
        raise ValueError("listen: expected host:port, with a port from 1 to 65535")
    return host, port


_UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}


def _from_text(kind: type, value: Any) -> Any:
    parsers: dict[type, tuple[str, Callable[[re.Match[str]], float], str]] = {
        Seconds: (r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", lambda m: float(m[1]) * _UNITS[m[2]], 'a duration such as "3s"'),
        Fraction: (r"(\d+(?:\.\d+)?)%", lambda m: float(m[1]) / 100, 'a percentage such as "20%"'),
    }
    pattern, number, expected = parsers[kind]
    match = re.fullmatch(pattern, value, re.ASCII) if isinstance(value, str) else None
    if match is None or (kind is Fraction and number(match) > 1):
        raise ValueError(f"expected {expected}")
    return kind(number(match))


def _check_absolute(path: str, name: str) -> None:
    if not path.startswith("/") or "\0" in path:
        raise ValueError(f"{name}: expected an absolute path")


def _check_url(url: str, name: str) -> None:
    if not re.fullmatch(r"(https?://[!-~]+)?", url) or "@" in url:
        raise ValueError(f"{name}: expected http:// or https:// and a host, without a user")


def _check_network(text: str, name: str) -> None:
    try:
        ip_network(text)
    except ValueError:
        raise ValueError(f"{name}: expected networks such as 100.64.0.0/10, got {text!r}") from None


def _check_range(value: float, name: str, *, least: float, most: float) -> None:
    if not least <= value <= most:
        raise ValueError(f"{name}: expected {least:g} to {most:g} seconds")


_WORDS: Final = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
}


def _explain(text: str) -> str:
    """The library's words in ours: the path first, then what was expected, and the nearest known key."""
    what, _, where = text.partition(" - at `$")
    path = where.rstrip("`").lstrip(".")
    unknown = re.fullmatch(r"Object contains unknown field `(.*)`", what)
    if unknown is not None:
        path = f"{path}.{unknown[1]}".lstrip(".")
        what = "unknown key" + _nearest(path)
    what = _in_words(what[:1].lower() + what[1:], path)
    inner = re.match(r"[a-z_]+: ", what)  # a check of a whole section names the key itself
    return f"{path}{'.' if inner else ': '}{what}" if path else what


def _in_words(what: str, path: str) -> str:
    chosen = re.fullmatch(r"invalid enum value (.*)", what)
    if chosen is not None:
        return f"expected {' or '.join(map(repr, _choices(path)))}, got {chosen[1]}"
    what = re.sub(r"`(\w+)`", lambda match: _WORDS.get(match[1], match[0]), what)
    return re.sub(r" matching regex '\\\\A(.*)\\\\Z'", r" of the form \1", what)


def _choices(path: str) -> tuple[Any, ...]:
    """The values that a key may have, where they are listed."""
    kind: Any = Config
    for name in path.split("."):
        kind = next(field.type for field in msgspec.structs.fields(kind) if field.name == name)
    return get_args(kind)


def _nearest(path: str) -> str:
    """The known key that is most like it: by its name in its own section, or by its whole path if it is elsewhere."""
    section, _, key = path.rpartition(".")
    known = _known_paths(Config)
    here = [name for where, _, name in (found.rpartition(".") for found in known) if where == section]
    elsewhere = {found.rpartition(".")[2]: found for found in reversed(known)}
    near = _like(key, here) or [elsewhere[name] for name in _like(key, elsewhere)]
    return f", did you mean `{near[0]}`?" if near else ""


def _like(key: str, names: Iterable[str]) -> list[str]:
    import difflib  # noqa: PLC0415  # for those who have mistyped

    return difflib.get_close_matches(key, sorted(names), n=1)


def _known_paths(section: Any, prefix: str = "") -> list[str]:
    """The paths of all keys, outer ones first."""
    fields = msgspec.structs.fields(section)
    inner = [field for field in fields if isinstance(field.type, type) and issubclass(field.type, Section)]
    paths = [f"{prefix}{field.name}" for field in fields]
    return paths + [path for field in inner for path in _known_paths(field.type, f"{prefix}{field.name}.")]
