"""What the doctor finds wrong with a machine, and that each remedy it names is one."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from qfagent.config import load, parse
from qfagent.doctor.checkup import check_up
from qfagent.doctor.folders import check_folders
from qfagent.doctor.machine import check_clock, check_entropy, check_groups, check_interface, check_open_files
from qfagent.doctor.mounts import LEAST_ROOM, check_mounts, mount_of, parse_mounts
from tests.doctor.remedies import apply, bad, levels

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def place(tmp_path):
    """The folders of an agent, as they should be, and its configuration."""

    def build(role="client"):
        path = tmp_path / "qfagent.toml"
        hub = '[hub]\nfqdn = "h"\nlisten = "127.0.0.1"\n' if role == "hub" else ""
        path.write_text(f'name = "a"\nrole = "{role}"\ninterface = ""\nstate_dir = "{tmp_path}/state"\n{hub}')
        for name, mode in (("", 0o711), ("private", 0o700), ("private/pads", 0o700)):
            (tmp_path / "state" / name).mkdir()
            (tmp_path / "state" / name).chmod(mode)
        for name, mode in (("psrd-in", 0o3730), ("psrd-out", 0o750)):
            (tmp_path / "state" / name).mkdir()
            (tmp_path / "state" / name).chmod(mode)
        for name in ("private/store.db", "private/pads/x", "psrd-out/pool-0a1b2c3d.json"):
            (tmp_path / "state" / name).write_text("x")
            (tmp_path / "state" / name).chmod(0o640)
        return load(str(path)), str(path)

    return build


def folders(config, path):
    return list(check_folders(config, config_path=path))


# --- configuration --------------------------------------------------------------------------------


def test_a_configuration_is_corrected_until_the_command_that_is_named_agrees(place):
    _, path = place()
    good = Path(path).read_text()
    Path(path).write_text(good.replace("name", "nam"))
    [finding] = check_up(path)
    command = [*re.search(r"`qfagent (.*)`", finding.remedy)[1].split()]
    codes = []
    for text in (None, good):
        Path(path).write_text(text or Path(path).read_text())
        done = subprocess.run([sys.executable, "-m", "qfagent", *command], capture_output=True, check=False)
        codes.append(done.returncode)

    assert ("configuration", "fault", True) == (finding.check, finding.level, "did you mean" in finding.detail)
    assert [8, 0] == codes
    assert "ok" == next(iter(check_up(path))).level


# --- permissions ----------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["client", "hub"])
def test_what_is_as_it_should_be_is_ok(place, role):
    assert ["ok"] == [finding.level for finding in folders(*place(role))]


@pytest.mark.parametrize(
    "role, name, mode, level",
    [
        ("client", "../qfagent.toml", 0o666, "fault"),
        ("client", ".", 0o777, "fault"),
        ("client", "private", 0o755, "fault"),
        ("client", "private/pads", 0o750, "fault"),
        ("client", "psrd-in", 0o733, "fault"),
        ("client", "psrd-in", 0o700, "warning"),
        ("hub", "psrd-out", 0o755, "fault"),
        ("hub", "psrd-out/pool-0a1b2c3d.json", 0o644, "fault"),
    ],
)
def test_modes_are_mended_by_the_command_that_is_named(place, role, name, mode, level):
    config, path = place(role)
    target = Path(config.state_dir, name).resolve()
    target.chmod(mode)
    [finding] = folders(config, path)
    apply(finding)

    assert ("permissions", level) == (finding.check, finding.level)
    assert str(target) in finding.detail
    assert [] == bad(folders(config, path))


def test_what_is_not_there_yet_is_not_wrong(tmp_path):
    config = parse(f'name = "a"\nstate_dir = "{tmp_path}/none"')
    (tmp_path / "f").write_text("")

    assert [] == bad(folders(config, f"{tmp_path}/f"))


@needs_root
def test_files_of_somebody_else_are_given_back(place):
    config, path = place()
    for name in ("", "pads", "store.db", "pads/x"):
        os.chown(f"{config.private}/{name}", 1, 1)
    os.chown(f"{config.private}/store.db", 0, 0)
    os.chown(path, 1, 1)
    [finding] = folders(config, path)
    apply(finding)

    assert "store.db does not belong to the user daemon" in finding.detail
    assert [] == bad(folders(config, path))


@needs_root
def test_a_configuration_that_the_agents_user_may_not_read_is_shown_to_it(place):
    config, path = place()
    subprocess.run(["chown", "-R", "daemon:", config.private], check=True)
    Path(path).chmod(0o600)
    [finding] = folders(config, path)
    apply(finding)

    assert f"the user daemon may not read {path}" == finding.detail
    assert [] == bad(folders(config, path))


@needs_root
def test_a_user_without_a_name_is_told_by_number(place):
    config, path = place()
    os.chown(config.private, 54321, 54321)
    [finding, *_] = folders(config, path)

    assert "does not belong to the user 54321" in finding.detail
    assert f"`chown -R 54321 {config.private}`" == finding.remedy


@needs_root
def test_whoever_may_not_look_is_told_to_ask_as_root(place):
    config, path = place()
    Path(config.state_dir).chmod(0o711)
    for folder in Path(config.state_dir).parents:
        if "pytest" in str(folder):
            folder.chmod(0o755)
    script = (
        "import os, sys; from qfagent.config import load; from qfagent.doctor.folders import check_folders;"
        "config = load(sys.argv[1]); os.setuid(1);"
        "[f] = check_folders(config, config_path=sys.argv[1]); print(f.level, f.remedy)"
    )
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, check=True)

    assert b"skipped ask as root\n" == done.stdout


# --- file systems ---------------------------------------------------------------------------------

MOUNTS = """
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:30 / /cow rw - btrfs /dev/vdb rw,subvol=/
31 22 0:31 / /zfs rw - zfs tank rw
32 22 0:32 / /over rw - overlay overlay rw
33 22 0:33 / /net rw - nfs4 server:/x rw
34 22 0:34 / /fuse rw - fuse.sshfs x rw
35 22 0:35 / /mem rw - tmpfs tmpfs rw
36 22 254:1 / /journal rw - ext4 /dev/vdc rw,data=journal
37 22 254:2 / /xfs rw - xfs /dev/vdd rw
38 22 0:38 / /odd rw - oddfs x rw
39 22 0:39 / /with\\040blank rw - btrfs x rw
40 30 254:3 / /cow/good rw - ext4 /dev/vde rw
41 37 0:41 / /xfs rw - btrfs /dev/vdf rw
""".strip()


@pytest.mark.parametrize(
    "folder, level, said",
    [
        ("/", "ok", "ext4, which overwrites in place"),
        ("/cow", "warning", "btrfs, which does not overwrite in place"),
        ("/zfs", "warning", "zfs, which does not overwrite in place"),
        ("/over", "warning", "overlay, which does not overwrite in place"),
        ("/net", "warning", "nfs4, across a network"),
        ("/fuse", "warning", "fuse.sshfs, across a network"),
        ("/mem", "warning", "tmpfs, which forgets everything"),
        ("/journal", "warning", "ext4 with data=journal"),
        ("/odd", "warning", "oddfs, which is not known"),
        ("/with blank", "warning", "btrfs"),
        ("/cow/good", "ok", "ext4"),
        ("/xfs", "warning", "btrfs"),
        ("/cowshed", "ok", "ext4"),
    ],
)
def test_a_file_system_is_judged_by_whether_it_overwrites_in_place(folder, level, said):
    config = parse(f'name = "a"\nstate_dir = "{folder}/state"')
    finding = next(iter(check_mounts(config, mounts=MOUNTS)))

    assert (level, True) == (finding.level, said in finding.detail)


def test_another_state_dir_is_the_remedy_for_a_file_system():
    before, after = (parse(f'name = "a"\nstate_dir = "{folder}/state"') for folder in ("/cow", "/cow/good"))
    findings = list(check_mounts(before, mounts=MOUNTS))

    assert "name a state_dir on ext4 or xfs" in findings[0].remedy
    assert [] == bad([f for f in check_mounts(after, mounts=MOUNTS) if f.check == "file-system"])


def test_the_inbox_may_lie_elsewhere_than_the_state_folder():
    config = parse('name = "a"\nstate_dir = "/s"\n[client]\ninbox = "/cow/in"')

    assert [("file-system", "warning")] == levels(check_mounts(config, mounts=MOUNTS))


def test_this_machines_mounts_can_be_read():
    assert "/proc" == mount_of("/proc/self", parse_mounts(Path("/proc/self/mountinfo").read_text())).point


# in a mount namespace of its own: what the doctor says before and after the remedy
IN_NAMESPACE = """
import json, subprocess, sys
from qfagent.config import parse
from qfagent.doctor.mounts import check_mounts
def sh(text):
    subprocess.run(["sh", "-ec", text], check=True, capture_output=True, cwd=sys.argv[1])
def told():
    config = parse('name = "a"\\nstate_dir = "%s/m/state"' % sys.argv[1])
    return [[f.check, f.level, f.detail, f.remedy] for f in check_mounts(config) if f.level != "ok"]
sh(sys.argv[2]); before = told(); sh(sys.argv[3]); print(json.dumps([before, told()]))
"""


def in_namespace(folder, broken, mended):
    command = ["unshare", "-m", sys.executable, "-c", IN_NAMESPACE, folder, broken, mended]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    if b"loop" in done.stderr or b"Operation not permitted" in done.stderr:
        pytest.skip("needs a loop device, and to be allowed to mount")
    assert 0 == done.returncode, done.stderr.decode()
    return json.loads(done.stdout)


@needs_root
def test_a_journal_of_data_is_found_and_gone_when_mounted_as_the_remedy_says(tmp_path):
    make = "mkdir m; truncate -s 128M i; mkfs.ext4 -q i; mount -o loop,data=journal i m"
    before, after = in_namespace(tmp_path, make, "umount m; mount -o loop,data=ordered i m")

    assert [["file-system", "warning"]] * 2 == [finding[:2] for finding in before]
    assert f"mount {tmp_path}/m with data=ordered" in before[0][3]
    assert [] == after


@needs_root
def test_room_is_found_missing_and_there_when_it_was_made(tmp_path):
    full = f"mkdir m; mount -t tmpfs -o size=96M x m; head -c {96 << 20} /dev/zero >m/big || true"
    before, after = in_namespace(tmp_path, full, "rm m/big")

    assert ["fault"] == [level for check, level, *_ in before if check == "room"]
    assert [] == [level for check, level, *_ in after if check == "room"]
    assert LEAST_ROOM < 96 << 20


# --- interface, groups, clock, chance -------------------------------------------------------------

# in a network namespace of its own: what the doctor says before each remedy, and after the last
IN_NETWORK = """
import json, subprocess
from qfagent.doctor.machine import check_interface
told = []
for mended in ("ip tuntap add dev wg0 mode tap", "{remedy}", "ip address add 10.9.9.1/24 dev wg0", ""):
    finding = check_interface("wg0")
    told.append([finding.level, finding.detail, finding.remedy])
    subprocess.run(["sh", "-c", finding.remedy.strip("`") if mended == "{remedy}" else mended], check=True)
print(json.dumps(told))
"""


@needs_root
def test_an_interface_is_brought_up_step_by_step():
    done = subprocess.run(["unshare", "-n", sys.executable, "-c", IN_NETWORK], capture_output=True, check=True)
    missing, down, bare, good = json.loads(done.stdout)

    assert ["fault", "there is no interface wg0"] == missing[:2]
    assert "`wg-quick up wg0`" in missing[2]
    assert ["fault", "the interface wg0 is down", "`ip link set wg0 up`"] == down
    assert ["fault", "the interface wg0 has no address"] == bare[:2]
    assert "`ip address add ADDRESS dev wg0`" in bare[2]
    assert ["ok", "wg0 is up, with the address 10.9.9.1"] == good[:2]


def test_without_a_binding_no_interface_is_needed():
    assert "ok" == check_interface("").level


def test_the_loopback_interface_is_fine():
    assert "lo is up, with the address 127.0.0.1" == check_interface("lo").detail


@needs_root
def test_a_group_that_is_missing_is_made_by_the_command_that_is_named():
    name = f"qf{os.getpid()}"
    config = parse(f'name = "a"\n[control]\ngroup = "{name}"\nadmin_group = "daemon"')
    [finding] = check_groups(config)
    apply(finding)
    try:
        after = list(check_groups(config))
    finally:
        subprocess.run(["groupdel", name], check=True)

    assert ("groups", "warning") == (finding.check, finding.level)
    assert [] == bad(after)


def test_the_limits_of_a_process_that_is_not_here_are_skipped():
    assert "skipped" == check_open_files("client", pid=1 << 30).level


def test_a_clock_that_follows_nothing_is_told_until_it_does():
    told = [check_clock(lambda follows=follows: follows) for follows in (False, True)]

    assert ["warning", "ok"] == [finding.level for finding in told]
    assert "`timedatectl set-ntp true`" in told[0].remedy


def test_chance_without_a_seed_is_told_until_it_has_one():
    def empty(size, flags):
        raise BlockingIOError

    told = [check_entropy(source) for source in (empty, os.getrandom)]

    assert ["fault", "ok"] == [finding.level for finding in told]
    assert told[0].remedy.startswith("wait for it")
