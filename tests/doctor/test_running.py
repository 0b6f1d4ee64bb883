"""What the doctor says of an agent that runs, or does not, and that each remedy it names is one."""

import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import trio

import qfagent
from qfagent.config import load, parse
from qfagent.doctor.checkup import check_up
from qfagent.doctor.running import check_health, check_identity, check_version
from qfagent.errors import AgentError
from qfagent.store.fence import Reason
from qfagent.testing.processes import AgentProcess, Fleet, free_port
from tests.doctor.remedies import bad
from tests.local.frames import configured, is_root, running, short_folder

BIN = Path(sys.executable).parent
LATER = "9.9.9"


async def checked(agent):
    """What is wrong, but for what a test machine lacks."""
    findings = await trio.to_thread.run_sync(lambda: list(check_up(f"{agent.folder}/qfagent.toml")))
    return [finding for finding in bad(findings) if finding.check != "clock"]


# --- whether it runs ------------------------------------------------------------------------------


@pytest.fixture
def fleet():
    with short_folder() as folder, Fleet(Path(folder)) as made:
        yield made


@pytest.fixture
def hub():
    """A hub that is configured, and not started."""
    with short_folder() as folder:
        made = AgentProcess(
            Path(folder), "hub1", f'role = "hub"\n[hub]\nfqdn = "127.0.0.1"\nlisten = "127.0.0.1:{free_port()}"'
        )
        made.config.write_text(made.config.read_text() + 'group = "daemon"\nadmin_group = "adm"\n')
        yield made
        made.stop()


def said(hub, check):
    return [finding for finding in bad(check_up(str(hub.config))) if finding.check == check]


def started(hub):
    hub.start()
    hub.wait_up()


def test_an_agent_that_does_not_run_is_told_until_it_is_started(hub):
    before = said(hub, "agent")
    started(hub)

    assert [("agent", "warning", "start it: `systemctl start qfagent`")] == [
        (f.check, f.level, f.remedy) for f in before
    ]
    assert [] == said(hub, "agent")


def test_what_may_open_few_files_is_told_until_the_limit_is_raised(hub):
    hub.prefix = ("sh", "-c", 'ulimit -n 512; exec "$@"', "sh")
    started(hub)
    [finding] = said(hub, "open-files")
    hub.stop()
    hub.prefix = ("sh", "-c", 'ulimit -n 8192; exec "$@"', "sh")  # as the remedy says
    started(hub)

    assert "the agent may open 512, a hub may need 8192" == finding.detail
    assert "ulimit -n 8192" in finding.remedy
    assert [] == said(hub, "open-files")


def test_an_agent_of_another_version_is_told_until_it_is_restarted(hub):
    other = hub.folder / "other"
    shutil.copytree(Path(qfagent.__file__).parent, other / "qfagent", ignore=shutil.ignore_patterns("__pycache__"))
    source = other / "qfagent" / "__init__.py"
    source.write_text(source.read_text().replace(qfagent.__version__, LATER))
    hub.prefix = ("env", "-C", str(other), f"PYTHONPATH={other}")
    started(hub)
    [finding] = said(hub, "version")
    hub.stop()
    hub.prefix = ()
    started(hub)

    assert f"the agent that runs is of version {LATER}, this program of {qfagent.__version__}" == finding.detail
    assert "`systemctl restart qfagent`" == finding.remedy
    assert [] == said(hub, "version")


@pytest.mark.skipif(not is_root(), reason="only root can become somebody else")
def test_whoever_may_not_ask_the_agent_may_as_a_member_of_its_group(hub):
    started(hub)
    hub.config.chmod(0o644)
    script = (
        "import grp, os, sys; from qfagent.config import load; from qfagent.doctor import running;"
        "from qfagent.local.client import Agent;"
        "group = grp.getgrnam('daemon').gr_gid; os.setgroups([group] if sys.argv[2] else []);"
        "os.setgid(65533); os.setuid(65533);"
        "status, f = running.ask(Agent(sys.argv[1])); print(f.level, f.remedy)"
    )
    told = [
        subprocess.run([sys.executable, "-c", script, hub.socket, member], capture_output=True, check=True).stdout
        for member in ("", "member")
    ]

    assert [b"skipped ask as root, or as a member of its group\n", b"ok \n"] == told


def test_the_command_ends_as_it_found_things(hub):
    started(hub)
    command = [BIN / "qfagent", "doctor", "--config", hub.config]
    good = subprocess.run(command, capture_output=True, text=True, check=False)
    hub.config.chmod(0o666)
    wrong = subprocess.run(command, capture_output=True, text=True, check=False)
    as_json = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)

    assert (0, "") == (good.returncode, good.stderr)
    assert "\nno faults, " in good.stdout
    assert (1, "qfagent: 1 fault found; each has its remedy beside it\n") == (wrong.returncode, wrong.stderr)
    assert f"remedy: `chmod 0644 {hub.config}`" in wrong.stdout
    assert '"faults": 1' in as_json.stdout
    assert max(map(len, wrong.stdout.splitlines())) <= 80


def test_an_older_agent_says_less_and_is_no_failure():
    status = {"version": "0.0.1", "name": "a", "role": "client", "client": None}
    status["issues"] = [{"code": "psrd-low", "detail": "little", "blocking": False}]
    told = [*check_health(status), check_version(status)]

    assert [("psrd-low", "see the agent's log"), ("version", "`systemctl restart qfagent`")] == [
        (finding.check, finding.remedy) for finding in told
    ]


# --- what it says of itself -----------------------------------------------------------------------


async def test_an_agent_that_is_not_as_configured_is_told_until_it_is_restarted():
    with short_folder() as folder:
        frame = configured(folder, "client", name="alice")
        path = Path(folder, "qfagent.toml")
        async with frame.open_store(), frame.at_work(), frame.listening():
            path.write_text(path.read_text().replace("alice", "bob"))
            findings = await trio.to_thread.run_sync(lambda: list(check_up(str(path))))
        frame.config = load(str(path))
        async with frame.open_store(), frame.at_work(), frame.listening():
            after = await trio.to_thread.run_sync(lambda: list(check_up(str(path))))

    [finding] = [finding for finding in bad(findings) if finding.check == "configuration"]
    assert "the agent's name is alice, the configuration says bob" == finding.detail
    assert "`systemctl restart qfagent`" == finding.remedy
    assert [] == [finding for finding in bad(after) if finding.check == "configuration"]


def test_a_managed_agent_may_have_any_role():
    config = parse('name = "a"\nrole = "managed"\n[management]\nurl = "http://m:1"\nsetup_key_file = "/k"')

    managed = {"name": "a", "role": "hub", "membership": {"id": "x"}}

    assert [] == [*check_identity(managed, config)]
    assert 1 == len([*check_identity(managed | {"name": "b"}, config)])
    assert 1 == len([*check_identity(managed | {"membership": None}, config)])


async def test_what_the_agent_says_of_its_health_is_told_with_its_remedy():
    async with running("client", name="alice") as agent:
        agent.frame._store.fence.put_up(Reason("moved-machine", 0, "the folder was made elsewhere", "look"))
        before = await checked(agent)
        [finding] = [finding for finding in before if finding.check == "store-fenced"]
        lift = partial(subprocess.run, [BIN / "qfagent", "psrd", "resume", "--socket", agent.path], check=True)
        await trio.to_thread.run_sync(lift)
        after = await checked(agent)

    assert ("fault", True) == (finding.level, "`qfagent psrd resume`" in finding.remedy)
    assert "store-fenced" not in [finding.check for finding in after]


def test_hubs_are_told_until_files_are_carried_and_they_run(fleet):
    fleet.start(hubs=2, clients=("alice",), client_settings='hub_timeout = "1s"')
    alice, (hub1, hub2) = fleet.clients["alice"], fleet.hubs.values()

    def hubs():
        return [finding for finding in check_up(str(alice.config)) if finding.check == "hubs"]

    [none] = hubs()
    for hub in (hub1, hub2):
        fleet.carry(hub, alice)
    fleet.wait_hubs(alice, 2)
    both = hubs()
    hub1.stop()
    with pytest.raises(AgentError):
        alice.agent.establish("bob")
    [down] = bad(hubs())
    hub1.start()
    hub1.wait_up()
    fleet.wait_hubs(alice, 2)

    assert ("warning", "carry a PSRD file from the hub into the inbox") == (none.level, none.remedy)
    assert ["ok", "ok"] == [finding.level for finding in both]
    assert down.remedy.startswith("start the hub")
    assert [] == bad(hubs())


def test_a_hub_that_has_moved_is_told_until_the_command_that_is_named_has_said_where(fleet):
    fleet.start(hubs=2, clients=("alice",), client_settings='hub_timeout = "1s"')
    alice, hub = fleet.clients["alice"], fleet.hubs["hub1"]
    for other in fleet.hubs.values():
        fleet.carry(other, alice)
    fleet.wait_hubs(alice, 2)
    before = hub.agent.status()["hub"]
    hub.stop()
    address = f"127.0.0.1:{free_port()}"
    hub.config.write_text(hub.config.read_text().replace(before["listen"], address))
    hub.start()
    hub.wait_up()
    with pytest.raises(AgentError):
        alice.agent.establish("bob")
    [down] = [finding for finding in bad(check_up(str(alice.config))) if finding.check == "hubs"]
    move = [BIN / "qfagent", "hubs", "move", before["id"], address, "--socket", alice.socket]
    subprocess.run(move, check=True, capture_output=True)
    fleet.wait_hubs(alice, 2)

    assert "`qfagent hubs move ID HOST:PORT`" in down.remedy
    assert [] == [finding for finding in bad(check_up(str(alice.config))) if finding.check == "hubs"]


@pytest.mark.parametrize("role", ["client", "hub"])
def test_a_managed_agent_plays_whatever_role_it_was_given(role):
    more = 'role = "managed"\n[management]\nurl = "http://m"\nsetup_key_file = "/k"\n'
    status = {"name": "a", "role": role, "membership": {"url": "http://m"}}

    assert [] == list(check_identity(status, parse(f'name = "a"\n{more}')))
    assert ["configuration"] == [f.check for f in check_identity(status, parse('name = "a"\n'))]
