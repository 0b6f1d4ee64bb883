"""The configuration: what it holds is valid, and what it refuses is named, with what was expected and where."""

import socket
from contextlib import suppress

import pytest
from hypothesis import given, strategies as st

from qfagent import amendment
from qfagent.agent import Frame
from qfagent.config import Config, load, parse, parse_address
from qfagent.errors import BadConfig
from qfagent.world import World

BASE = 'name = "peer-a"\n'
HUB = 'name = "h1"\nrole = "hub"\n[hub]\nfqdn = "hub1.mesh"\n'


def at(config, path):
    for name in path.split("."):
        config = getattr(config, name)
    return config


def with_key(path, value):
    """A text with one key set, in its section."""
    section, _, key = path.rpartition(".")
    role = 'role = "hub"\n' if section.startswith("hub") else ""
    fqdn = '[hub]\nfqdn = "hub1.mesh"\n' if role and section != "hub" else ""
    header = f"[{section}]\n" if section else ""
    more = 'fqdn = "hub1.mesh"\n' if section == "hub" and key != "fqdn" else ""
    return f"{BASE if key != 'name' or section else ''}{role}{fqdn}{header}{more}{key} = {value}\n"


def refusal(text):
    with pytest.raises(BadConfig) as caught:
        parse(text)
    return str(caught.value)


# --- defaults -------------------------------------------------------------------------------------

# interfaces.md, Configuration; durations in seconds
DOCUMENTED = {
    "role": "client",
    "interface": "wg0",
    "state_dir": "/var/lib/qufabric/dske",
    "control.socket": "/run/qufabric/qfagent.sock",
    "control.group": "qufabric",
    "control.admin_group": "qbtld",
    "hub.id": "",
    "hub.share_ttl": 3600,
    "binding": "open",
    "pool": "/var/lib/qufabric/dske/psrd-out",
    "hub.provisioner.pool_size": 5,
    "hub.provisioner.interval": 10,
    "hub.provisioner.user_bytes": 131_072,
    "hub.provisioner.server_bytes": 131_072,
    "hub.provisioner.max_handed_out": 1000,
    "inbox": "/var/lib/qufabric/dske/psrd-in",
    "client.shares_required": 2,
    "client.hubs": (),
    "client.hub_timeout": 3,
    "client.low_psrd": 0.2,
    "private": "/var/lib/qufabric/dske/private",
}


@pytest.mark.parametrize("path, value", DOCUMENTED.items())
def test_defaults_are_those_that_are_documented(path, value):
    assert value == at(parse(BASE), path)


def test_the_documented_example_is_valid():
    text = """
name = "peer-a"
role = "hub"
interface = "wg0"
state_dir = "/var/lib/qufabric/dske"
[control]
socket = "/run/qufabric/qfagent.sock"
group = "qufabric"
admin_group = "qbtld"
[hub]
id = ""
fqdn = "hub1.mesh"
listen = "100.64.0.1:27277"
share_ttl = "1h"
binding = "open"
[hub.provisioner]
directory = "/var/lib/qufabric/dske/psrd-out"
pool_size = 5
interval = "10s"
user_bytes = 131072
server_bytes = 131072
[client]
inbox = "/var/lib/qufabric/dske/psrd-in"
shares_required = 2
hubs = []
hub_timeout = "3s"
low_psrd = "20%"
"""
    config = parse(text)

    assert (3600, 10, 3, 0.2) == (
        config.hub.share_ttl,
        config.hub.provisioner.interval,
        config.client.hub_timeout,
        config.client.low_psrd,
    )


def test_a_key_that_was_set_to_its_default_is_the_same_as_one_that_was_not():
    assert parse(BASE) == parse(BASE + '[client]\nhub_timeout = "3000ms"\nlow_psrd = "20.0%"\n')


def test_without_a_name_it_is_the_hosts(monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "Peer-B")

    assert "peer-b" == parse("").peer


@pytest.mark.parametrize("host", ["host_", "pool-x", "ä", "-", ""])
def test_a_host_name_that_is_no_peer_name_has_to_be_replaced(monkeypatch, host):
    monkeypatch.setattr(socket, "gethostname", lambda: host)

    assert "name: expected a peer name" in refusal("")


def test_folders_follow_the_state_folder():
    config = parse(BASE + 'state_dir = "/srv/dske"\n')

    assert ("/srv/dske/private", "/srv/dske/psrd-in", "/srv/dske/psrd-out") == (
        config.private,
        config.inbox,
        config.pool,
    )


def test_folders_can_be_named():
    config = parse(BASE + '[client]\ninbox = "/in"\n[hub.provisioner]\ndirectory = "/out"\n')

    assert ("/in", "/out") == (config.inbox, config.pool)


# --- bounds ---------------------------------------------------------------------------------------

HEX = "0123456789abcdef" * 2
GOOD = {
    "name": ['"a"', '"a.b-c_d"', f'"{"a" * 63}"', '"7"'],
    "role": ['"client"'],
    "interface": ['"wg0"', '""', f'"{"x" * 15}"', '"wg-mesh.1"'],
    "state_dir": ['"/srv"', '"/"'],
    "control.socket": ['"/run/x"'],
    "control.group": ['"users"', '""'],
    "control.admin_group": ['"users"'],
    "hub.id": ['""', f'"{HEX}"'],
    "hub.fqdn": ['"hub1.mesh"', '"100.64.0.1"', '"fd00::1"', '"hub_1"'],
    "hub.listen": ['""', '"100.64.0.1"', '"100.64.0.1:1"', '"[fd00::1]:65535"', '"hub1.mesh:27277"', '"[fd00::1]"'],
    "hub.share_ttl": ['"1s"', '"24h"', '"1d"', '"86400s"', '"1000ms"', '"90m"'],
    "hub.binding": ['""', '"open"', '"manual"'],
    "hub.provisioner.directory": ['""', '"/out"'],
    "hub.provisioner.pool_size": ["0", "1", "1000"],
    "hub.provisioner.interval": ['"100ms"', '"1h"'],
    "hub.provisioner.user_bytes": ["1024", "67108864", "131_072"],
    "hub.provisioner.server_bytes": ["1024", "67108864"],
    "hub.provisioner.max_handed_out": ["1", "1000000"],
    "client.inbox": ['""', '"/in"'],
    "client.shares_required": ["2", "16"],
    "client.hubs": ["[]", f'["{HEX}"]', f'["{HEX}", "{"f" * 32}"]'],
    "client.hub_timeout": ['"50ms"', '"0.05s"', '"20s"', '"1.5s"'],
    "client.low_psrd": ['"0%"', '"100%"', '"12.5%"'],
    "client.scan_interval": ['"100ms"', '"1h"'],
    "management.listen": ['""', '"100.64.0.1"', '"[fd00::1]:443"', '"0.0.0.0:33073"'],
    "management.public_url": ['""', '"https://mesh.example/"', '"http://100.64.0.1:33073"'],
    "management.token_file": ['""', '"/etc/qufabric/operator-token"'],
    "management.networks": ["[]", '["100.64.0.0/10", "fd00::/8"]', '["127.0.0.1"]'],
    "management.shares_required": ["2", "16"],
    "management.kind": ['"qfagent"', '"netbird"'],
    "management.url": ['""', '"https://mesh.example"', '"http://100.64.0.1:33073"'],
    "management.address": ['""', '"100.64.0.7"', '"fd00::7"'],
    "management.setup_key_file": ['""', '"/etc/qufabric/setup-key"'],
    "log.level": ['"debug"', '"info"', '"warning"', '"error"'],
}
BAD = {
    "name": ['"Peer"', '"-a"', '"a-"', '"pool-x"', f'"{"a" * 64}"', '"a b"', '"ä"', "7", '"a\\n"', '["a"]'],
    "role": ['"server"', '""', "1"],
    "interface": [f'"{"x" * 16}"', '"a b"', '"a/b"', '"a\\nb"', "0"],
    "state_dir": ['"dske"', '""', '"~/dske"', '"/a\\u0000b"', "1"],
    "control.socket": ['"sock"', '""', "1"],
    "control.group": ["1000", "[]"],
    "hub.id": ['"x"', f'"{HEX.upper()}"', f'"{HEX}0"', f'"{HEX}\\n"'],
    "hub.fqdn": ['"hub 1"', '"http://hub"', '"hub:1"', '"a..b"', '"-a"', '""', "1"],
    "hub.listen": [
        '"host:0"',
        '"host:65536"',
        '"host:"',
        '":1"',
        '"fd00::1"',
        '"[fd00::1"',
        '"a b:1"',
        '"host:1:2"',
        "27277",
    ],
    "hub.share_ttl": [
        '"0s"',
        '"999ms"',
        '"25h"',
        '"86401s"',
        '"1w"',
        '"-1s"',
        '"1 h"',
        '"1h30m"',
        '"h"',
        '""',
        "3600",
        '"１s"',
    ],
    "hub.binding": ['"address"', '"closed"', "true"],
    "hub.provisioner.pool_size": ["-1", "1001", '"5"', "5.0", "true"],
    "hub.provisioner.interval": ['"99ms"', '"61m"', "10"],
    "hub.provisioner.user_bytes": ["1023", "67108865", '"128K"', "1024.0"],
    "hub.provisioner.server_bytes": ["1023", "67108865"],
    "hub.provisioner.max_handed_out": ["0", "1000001"],
    "hub.provisioner.directory": ['"out"'],
    "client.inbox": ['"in"'],
    "client.shares_required": ["1", "17", "0", "-2", '"2"', "2.0"],
    "client.hubs": [f'"{HEX}"', '["x"]', f'["{HEX}", 1]', f'["{HEX.upper()}"]'],
    "client.hub_timeout": ['"49ms"', '"21s"', "3", '"3"', '"3 s"', '"1e1s"', '"NaNs"', '"infs"'],
    "client.low_psrd": ['"101%"', '"-1%"', "0.2", '"20"', '"20 %"', '"%"', '"1e1%"'],
    "client.scan_interval": ['"0s"', '"2h"'],
    "management.listen": ['"host:0"', '":1"', '"a b"', "33073"],
    "management.public_url": ['"mesh.example"', '"ftp://x"', '"https://"', '"https://a b"', "1"],
    "management.token_file": ['"token"', "1"],
    "management.networks": ['"100.64.0.0/10"', '["100.64.0.1/10"]', '["mesh"]', '[""]', "[1]"],
    "management.shares_required": ["1", "17", '"2"'],
    "management.kind": ['"tailscale"', '""', "1"],
    "management.url": [
        '"mesh.example"',
        '"https://user:word@mesh.example"',
        '"ftp://x"',
        '"https://"',
        '"https://a b"',
        "1",
    ],
    "management.address": ['"100.64.0.7:1"', '"a b"', "7"],
    "management.setup_key_file": ['"setup-key"', "1"],
    "log.level": ['"loud"', '"INFO"', "1"],
}


@pytest.mark.parametrize("path, value", [(path, value) for path, values in GOOD.items() for value in values])
def test_values_inside_the_bounds_are_taken(path, value):
    assert parse(with_key(path, value))


@pytest.mark.parametrize("path, value", [(path, value) for path, values in BAD.items() for value in values])
def test_values_outside_the_bounds_are_refused_with_their_path_and_what_was_expected(path, value):
    text = refusal(with_key(path, value))

    assert path in text
    assert "expected" in text.lower()
    assert "\n" not in text


def test_every_key_has_bounds_here():
    every = set(amendment._flat(parse(BASE)))

    assert every == set(GOOD)
    assert every - set(BAD) == {"control.admin_group"}


@pytest.mark.parametrize(
    "text, expected",
    [
        ('name = "Peer"', "name: expected a peer name (1-63 of a-z 0-9 . _ -, not beginning with pool-), got 'Peer'"),
        (BASE + "[client]\nshares_required = 1", "client.shares_required: expected a whole number >= 2"),
        (BASE + '[client]\nhub_timeout = "1m"', "client.hub_timeout: expected 0.05 to 20 seconds"),
        (BASE + "[client]\nhub_timeout = 3", 'client.hub_timeout: expected a duration such as "3s"'),
        (BASE + "[client]\nlow_psrd = 0.2", 'client.low_psrd: expected a percentage such as "20%"'),
        (HUB + "[hub.provisioner]\npool_size = -1", "hub.provisioner.pool_size: expected a whole number >= 0"),
        (HUB + 'listen = "x:0"', "hub.listen: expected host:port, with a port from 1 to 65535"),
        (BASE + 'role = "hub"', "hub.fqdn: missing, expected the name or address that clients reach this hub at"),
        ("name = ", "expected TOML: "),
        (BASE + 'name = "b"', "expected TOML: "),
        (BASE + 'role = "clint"', "role: expected 'client' or 'hub' or 'managed' or 'management', got 'clint'"),
        (BASE + '[log]\nlevel = "loud"', "log.level: expected 'debug' or 'info' or 'warning' or 'error', got 'loud'"),
        (BASE + '[client]\nhubs = ["x"]', "client.hubs[0]: expected text of the form [0-9a-f]{32}"),
        (BASE + "client = 1", "client: expected a table, got a whole number"),
    ],
)
def test_what_is_wrong_is_told_in_these_words(text, expected):
    assert refusal(text).startswith(expected)


def test_a_hub_without_an_interface_has_to_be_told_where_to_listen():
    text = HUB.replace('role = "hub"\n', 'role = "hub"\ninterface = ""\n')

    assert refusal(text).startswith("hub.listen: missing, expected host:port")
    assert parse(text + 'listen = "100.64.0.1"\n')


MANAGED = BASE + 'role = "managed"\n[management]\nurl = "http://100.64.0.1:33073"\n'


@pytest.mark.parametrize(
    "text, missing",
    [
        (BASE + 'role = "managed"\n', "management.url"),
        (MANAGED, "management.setup_key_file"),
        (MANAGED + 'kind = "netbird"\nsetup_key_file = "/k"\n', "management.token_file"),
    ],
)
def test_a_managed_agent_has_to_be_told_who_manages_it_and_what_to_show_there(text, missing):
    assert refusal(text).startswith(f"{missing}: missing, expected the ")


def test_a_managed_hub_binds_by_address_unless_it_is_told_otherwise():
    managed = MANAGED + 'setup_key_file = "/k"\n'

    assert "address" == parse(managed).binding
    assert ["open", "manual"] == [parse(f'{managed}[hub]\nbinding = "{b}"\n').binding for b in ("open", "manual")]
    assert "open" == parse(HUB).binding


def test_a_management_server_without_an_interface_has_to_be_told_where_to_listen():
    text = BASE + 'role = "management"\ninterface = ""\n'

    assert refusal(text).startswith("management.listen: missing, expected host:port")
    assert parse(text + '[management]\nlisten = "127.0.0.1:33073"\n')


@pytest.mark.parametrize(
    "text, path, near",
    [
        ("intrface = 'wg1'", "intrface", "interface"),
        ("[client]\nshares_requird = 3", "client.shares_requird", "shares_required"),
        ("[hub.provisioner]\npoolsize = 3", "hub.provisioner.poolsize", "pool_size"),
        ("[clients]\n", "clients", "client"),
        ("[client]\nfqdn = 'x'", "client.fqdn", "hub.fqdn"),
        ("pool_sise = 3", "pool_sise", "hub.provisioner.pool_size"),
        ("[control]\nscan_intervall = '3s'", "control.scan_intervall", "client.scan_interval"),
        ("[client]\nid = ''", "client.id", "hub.id"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_name(text, path, near):
    assert f"{path}: unknown key, did you mean `{near}`?" == refusal(BASE + text)


def test_an_unknown_key_that_is_near_nothing_is_refused_without_a_guess():
    assert "client.zzzz: unknown key" == refusal(BASE + "[client]\nzzzz = 1")


@pytest.mark.parametrize("value", ["[" * 5000, "{a=" * 5000, "9" * 5000], ids=["arrays", "tables", "digits"])
def test_what_is_too_much_for_the_reader_of_toml_is_refused(value):
    """Before, a SIGHUP that met such a file ended the agent."""
    assert "expected TOML" in refusal(f"{BASE}interface = {value}")


@given(st.text(max_size=60))
def test_whatever_the_text_it_is_valid_or_refused(text):
    with suppress(BadConfig):
        assert isinstance(parse(BASE + text), Config)


@given(st.text(max_size=20))
def test_an_address_is_a_host_and_a_port_or_no_address(text):
    try:
        host, port = parse_address(text)
    except ValueError:
        return

    assert host
    assert 1 <= port <= 65_535


@pytest.mark.parametrize(
    "text, address",
    [
        ("host", ("host", 27277)),
        ("host:1", ("host", 1)),
        ("1.2.3.4:65535", ("1.2.3.4", 65_535)),
        ("[fd00::1]:9", ("fd00::1", 9)),
        ("[fd00::1]", ("fd00::1", 27277)),
    ],
)
def test_addresses(text, address):
    assert address == parse_address(text)


# --- files ----------------------------------------------------------------------------------------


def test_a_file_that_is_not_there_is_told_with_its_path(tmp_path):
    with pytest.raises(BadConfig, match=rf"{tmp_path}/no: no such file or directory"):
        load(f"{tmp_path}/no")


def test_a_file_that_is_no_text_is_told_with_its_path(tmp_path):
    (tmp_path / "f").write_bytes(b"\xff")
    with pytest.raises(BadConfig, match=rf"{tmp_path}/f: expected UTF-8 text"):
        load(f"{tmp_path}/f")


def test_what_is_wrong_in_a_file_is_told_with_its_path(tmp_path):
    (tmp_path / "f").write_text("nam = 1")
    with pytest.raises(BadConfig, match=rf"{tmp_path}/f: nam: unknown key, did you mean `name`\?"):
        load(f"{tmp_path}/f")


# --- reload ---------------------------------------------------------------------------------------


CHANGED = {
    "name": '"peer-b"',
    "interface": '"wg1"',
    "state_dir": '"/srv"',
    "control.socket": '"/run/x"',
    "control.group": '"users"',
    "control.admin_group": '"users"',
    "hub.share_ttl": '"2h"',
    "hub.binding": '"manual"',
    "hub.provisioner.pool_size": "6",
    "hub.provisioner.interval": '"11s"',
    "hub.provisioner.user_bytes": "2048",
    "hub.provisioner.server_bytes": "2048",
    "hub.provisioner.max_handed_out": "7",
    "client.inbox": '"/in"',
    "client.shares_required": "3",
    "client.hubs": f'["{HEX}"]',
    "client.hub_timeout": '"4s"',
    "client.low_psrd": '"30%"',
    "client.scan_interval": '"11s"',
    "log.level": '"debug"',
}


@pytest.mark.parametrize("path", CHANGED)
def test_what_can_be_changed_while_running_is_and_the_rest_stays(path):
    old = parse(with_key(path, CHANGED[path]).rpartition(f"{path.rpartition('.')[2]} = ")[0] or BASE)
    new = parse(with_key(path, CHANGED[path]))
    amended = amendment.amend(old, new)

    assert path in amendment.changes(old, new)
    assert at(new if path in amendment.LIVE else old, path) == at(amended, path)
    assert at(old, path) != at(new, path)


def test_nothing_changes_when_nothing_has_changed():
    config = parse(BASE)

    assert [] == amendment.changes(config, parse(BASE))
    assert config == amendment.amend(config, parse(BASE))


def test_every_live_key_is_one_that_exists():
    assert set(amendment.LIVE) <= set(amendment._flat(parse(BASE)))


def test_what_names_the_agent_or_where_its_things_lie_needs_a_restart():
    kept = {"name", "role", "interface", "state_dir", "control.socket", "hub.id", "hub.fqdn", "hub.listen"}

    assert kept.isdisjoint(amendment.LIVE)
    assert {"client.inbox", "hub.provisioner.directory"}.isdisjoint(amendment.LIVE)


async def test_a_bad_file_leaves_the_running_configuration_in_force(tmp_path):
    path = tmp_path / "f"
    path.write_text(BASE)
    frame = Frame(load(str(path)), str(path), World())
    before = frame.config
    path.write_text(BASE + "[client]\nshares_required = 1\n")

    with pytest.raises(BadConfig, match=r"client\.shares_required"):
        await frame.reload()
    assert before is frame.config
