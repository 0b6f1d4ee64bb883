"""Dependencies point one way; each forbidden import has its reason."""

import ast
from pathlib import Path

import pytest

import qfagent

ROOT = Path(qfagent.__file__).parent

AROUND_A_ROLE = {"backoff", "config", "events", "neighbourhood", "surroundings", "world"}
# who may import whom, inside the package; what is not listed is forbidden
MAY = {
    "errors": set(),
    "dske": {"errors"},
    "world": set(),
    "events": {"world"},
    "store": {"errors", "dske", "world"},
    "http": {"errors", "dske"},
    "config": {"errors", "dske"},
    "amendment": {"config"},
    "logs": set(),
    "systemd": set(),
    "watch": set(),
    "series": set(),
    "metrics": {"series"},
    "health": {"store"},
    "neighbourhood": {"dske"},
    "surroundings": {"config", "events", "http", "neighbourhood", "store", "world"},
    "door": {"errors", "events", "http"},
    "client": AROUND_A_ROLE | {"errors", "dske", "store", "http", "metrics"},
    "hub": AROUND_A_ROLE | {"errors", "dske", "store", "http", "door", "metrics"},
    "managed": AROUND_A_ROLE | {"errors", "dske", "store"},
    "management": {"errors", "dske", "store", "http", "config", "door", "events", "world", "surroundings", "metrics"},
    "local": {"errors", "dske", "http", "events", "health", "series", "surroundings"},
    "doctor": {"errors", "http", "config", "health", "local"},
    "backoff": {"world"},
    "calls": {"errors", "http"},
    "status": {"client", "hub", "managed", "management", "health", "store"},
}
REASONS = {
    "dske": "the protocol is values in, values out: no sockets, files, clocks or randomness",
    "store": "what survives power loss knows nothing of who talks to whom",
    "client": "siblings meet in roles.py; a client must work without a hub in the same process",
    "hub": "siblings meet in roles.py; a hub must work without a client in the same process",
    "managed": "siblings meet in casting.py; what a server says must not reach pads or keys",
    "management": "siblings meet in roles.py; what knows the network must not be able to touch a pad",
    "local": "the control socket serves whatever routes it is given",
}
# what the pure core may not even know of
IMPURE = {
    "trio",
    "socket",
    "os",
    "time",
    "random",
    "secrets",
    "pathlib",
    "threading",
    "apsw",
    "datetime",
    "uuid",
    "logging",
}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module == "qfagent")


def files_of(part):
    single = ROOT / f"{part}.py"
    return [single] if single.exists() else sorted((ROOT / part).glob("*.py"))


@pytest.mark.parametrize("part", MAY)
def test_dependencies_point_one_way(part):
    wrong = {
        (path.name, name)
        for path in files_of(part)
        for name in imports(path)
        if name.startswith("qfagent.") and name.split(".")[1] not in MAY[part] | {part, "__version__"}
    }

    assert set() == wrong, REASONS.get(part, "")


@pytest.mark.parametrize("path", files_of("dske"), ids=lambda path: path.name)
def test_the_core_touches_nothing(path):
    assert set() == {name.split(".")[0] for name in imports(path)} & IMPURE


def test_commands_call_the_local_client_only():
    """But for the few that work without an agent."""
    alone = {
        "run.py",
        "check_config.py",
        "configured.py",
        "restore.py",
        "demo.py",
        "demo_managed.py",
        "doctor.py",
        "netbird.py",
    }
    allowed = {"qfagent.errors", "qfagent.local", "qfagent.cli", "qfagent.__version__"}
    wrong = {
        (path.name, name)
        for path in files_of("cli")
        if path.name not in alone
        for name in imports(path)
        if name.startswith("qfagent.") and not any(name == a or name.startswith(f"{a}.") for a in allowed)
    }

    assert set() == wrong


def test_everything_is_caught_in_one_place_only():
    """Tidying up and raising again is no catching."""
    catching = [
        str(path.relative_to(ROOT))
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler) and is_blind(node) and not isinstance(node.body[-1], ast.Raise)
    ]

    assert ["agent.py"] == [path for path in catching if not path.startswith("testing/")]


def is_blind(handler):
    return handler.type is None or (
        isinstance(handler.type, ast.Name) and handler.type.id in ("Exception", "BaseException")
    )


def test_only_the_ledger_makes_a_pad():
    makers = [
        str(path.relative_to(ROOT))
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "Pad"
        and "testing" not in str(path)
    ]

    assert ["store/ledger.py"] == makers


def test_a_secret_is_revealed_in_few_places():
    """A reviewer reads these, and nothing else, to know where key and pad bytes are in the open."""
    revealing = {str(p.relative_to(ROOT)) for p in ROOT.rglob("*.py") if ".reveal()" in p.read_text()}

    assert {
        "client/commands.py",  # keys, to the caller on the control socket
        "dske/establish.py",  # a share, into its seal
        "dske/pad.py",  # pads, into tags and seals
        "dske/psrd.py",  # a block, into its file
        "dske/recover.py",  # shares, into the secret
        "store/ledger.py",  # a block's reserved bytes, into its digest
        "store/pads.py",  # a block, into its pad file
    } == {path for path in revealing if not path.startswith(("testing/", "cli/", "local/client", "dske/secret"))}
