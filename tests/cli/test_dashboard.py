"""One frame of `qfagent top`: what the agent has said goes in, lines come out."""

import copy
import re

import pytest

from qfagent.cli.dashboard import Snapshot, frame, without_agent
from qfagent.cli.paint import Paint, paint_for

NOW = 1_800_000_000.0
DAY = 86_400.0
PLAIN, COLORED = Paint(color=False, blocks=True), Paint(color=True, blocks=True)


def hub(letter, state="up", reason="", **more):
    known = {"id": letter * 32, "host": f"{letter}.mesh", "port": 27277, "state": state, "reason": reason}
    return known | {"latency_ms": 1.25, "lasts_s": None} | more


def psrd(letter, user=0.5, server=0.9, user_lasts=12 * DAY, low_in=9 * DAY):
    lasts = {"user_lasts_s": user_lasts, "server_lasts_s": None, "low_in_s": low_in}
    fractions = {"user_fraction": user, "server_fraction": server}
    return (
        {"hub": letter * 32, "user_left": int(131_072 * user), "server_left": int(131_072 * server)} | fractions | lasts
    )


STATUS = {
    "name": "peer-a",
    "role": "client",
    "version": "0.1.0",
    "uptime_s": 3 * DAY,
    "ready": True,
    "issues": [],
    "interface": {"name": "wg0", "up": True, "address": "100.64.0.7"},
    "client": None,
    "hub": None,
    "management": None,
}
FAULT = {"code": "hubs-unreachable", "blocking": True, "detail": "1 of 2 can be used", "remedy": "see `qfagent hubs`"}
WARNING = {"code": "psrd-low", "blocking": False, "detail": "little is left", "remedy": "carry a file"}


def client(*hubs, issues=(), psrd=(), peers=(), inbox=None):
    part = {"shares_required": 2, "hubs_usable": 2, "hubs": list(hubs), "inbox_files": inbox or {}}
    status = STATUS | {"client": part, "issues": list(issues), "ready": not any(i["blocking"] for i in issues)}
    return Snapshot(NOW, status, psrd=list(psrd), peers=list(peers))


def hub_with(*clients):
    pool = {"files": ["a.json", "b.json"], "target": 4, "handed_out": 3}
    part = {"id": "f" * 32, "listen": "100.64.0.1:27277", "clients": {"bound": 2}, "shares": 7, "pool": pool}
    return Snapshot(NOW, STATUS | {"role": "hub", "hub": part}, clients=list(clients))


def one(peer, left, last_seen=None):
    pads = {"user_left": int(1000 * left), "server_left": 1000, "user_bytes": 1000, "server_bytes": 1000}
    return {"peer": peer, "last_seen": last_seen} | pads


def bare(lines):
    return [re.sub(r"\x1b\[\d+m", "", line) for line in lines]


def line_with(text, lines):
    [found] = [line for line in lines if text in line]
    return found


def management():
    counts = {"peers": 4, "connected": 3, "hubs": 1, "shares_required": 2, "groups": 1, "policies": 2, "keys": 0}
    part = {"listen": "100.64.0.9:33073", "url": "http://manage.mesh:33073/" + "x" * 99} | counts
    return Snapshot(NOW, STATUS | {"role": "management", "management": part})


FULL = client(
    hub("a"),
    hub("b", "down", "no connection to b.mesh:27277: connection refused (asked again in 12 s)", latency_ms=None),
    hub("c", "unregistered"),
    issues=[WARNING, FAULT],
    psrd=[psrd("a"), psrd("b", low_in=0.0)],
    peers=[{"peer": "x" * 60, "established": 1, "recovered": 123_456_789}],
    inbox={"held": 2, "incomplete": 0},
)
SNAPSHOTS = {
    "client": FULL,
    "hub": hub_with(one("peer-b", 0.1, NOW - 90), one("y" * 63, 0.9)),
    "new": client(),
    "management": management(),
}


@pytest.mark.parametrize("name", SNAPSHOTS)
@pytest.mark.parametrize("width", [80, 81, 100, 213])
@pytest.mark.parametrize("paint", [PLAIN, COLORED, Paint(color=True, blocks=False)], ids=["plain", "colored", "ascii"])
def test_a_frame_fits_its_width(name, width, paint):
    assert max(len(line) for line in bare(frame(SNAPSHOTS[name], paint, width=width))) <= width


def test_a_wider_terminal_gets_longer_bars():
    lengths = [line_with("user", frame(FULL, PLAIN, width=width)[-12:][:9][1:3]).count("█") for width in (80, 120)]

    assert lengths[0] < lengths[1]


def test_faults_stand_on_top_with_what_helps_and_warnings_below_them():
    lines = frame(FULL, PLAIN)
    order = [lines.index(line) for line in ("FAULT hubs-unreachable", "WARNING psrd-low")]

    assert order == sorted(order)
    assert max(order) < lines.index(line_with("HUB  ", lines))
    assert lines[order[0] + 2] == "  → see `qfagent hubs`"
    assert lines[1].startswith("✗ not ready")


def test_many_issues_leave_room_for_the_rest():
    lines = frame(client(issues=[WARNING | {"code": f"code-{number}"} for number in range(9)]), PLAIN)

    assert "5 more, see `qfagent status`" in lines
    assert 4 == sum(line.startswith("WARNING") for line in lines)


def test_a_hub_shows_how_it_is_reached_how_full_it_is_and_when_to_carry():
    lines = frame(client(hub("a"), psrd=[psrd("a")]), PLAIN)

    assert re.fullmatch(r"aaaaaaaa  up +1\.2 ms user   ███████░░░░░░░  50%    64 KiB    12 d  \d\d \w+", lines[-5])
    assert re.fullmatch(r"a\.mesh:27277 +server ████████████▋░  90%   115 KiB       -", lines[-4])


@pytest.mark.parametrize(
    "low_in, shown",
    [(None, r"-"), (0.0, r"now"), (3600.0, r"\d\d:\d\d"), (9 * DAY, r"\d\d \w{3}"), (900 * DAY, r"\w{3} \d{4}")],
)
def test_the_next_file_is_due_at_a_time_that_fits_its_distance(low_in, shown):
    line = line_with("user", frame(client(hub("a"), psrd=[psrd("a", low_in=low_in)]), PLAIN))

    assert re.search(rf"  {shown}$", line)


def test_why_a_hub_is_down_is_said_below_it():
    lines = frame(FULL, PLAIN)

    assert lines[lines.index(line_with("bbbbbbbb", lines)) + 2].startswith("  no connection to b.mesh:27277: conn")


@pytest.mark.parametrize("low_in, color", [(0.0, "31"), (DAY, "33"), (30 * DAY, "32"), (None, "32")])
def test_bars_are_red_when_a_file_is_due_yellow_before_and_green_otherwise(low_in, color):
    line = line_with("user", frame(client(hub("a"), psrd=[psrd("a", low_in=low_in)]), COLORED))

    assert f"user   \x1b[{color}m█" in line


def test_keys_are_counted_by_peer_the_latest_first():
    peers = [{"peer": name, "established": 1, "recovered": 2} for name in ("old", "new")]
    lines = frame(client(peers=peers), PLAIN)

    assert ["new", "old"] == [line.split()[0] for line in lines[-2:]]


def test_what_waits_in_the_inbox_is_told():
    assert "inbox: 2 held" in frame(client(inbox={"held": 2, "incomplete": 0}), PLAIN)[1]


def test_clients_of_a_hub_stand_in_the_order_of_need():
    lines = frame(hub_with(one("full", 0.9, NOW), one("empty", 0.1, NOW - 120), one(None, 0.0)), COLORED)

    assert ["empty", "full"] == [line.split()[0] for line in lines[-2:]]
    assert "\x1b[31m" in lines[-2]
    assert lines[-2].endswith("2 min")
    assert "2 of 4 files ready, 3 with somebody unknown" in line_with("POOL", lines)


def test_a_management_server_shows_its_peers_and_hubs():
    lines = frame(management(), PLAIN)

    assert line_with("PEERS", lines).endswith("░ 3 of 4 connected")
    assert "1, a key needs 2" in line_with("HUBS", lines)


def test_what_does_not_fit_is_cut_and_said_to_be():
    whole, short = frame(FULL, PLAIN), frame(FULL, PLAIN, height=10)

    assert whole[:9] == short[:9]
    assert f"… {len(whole) - 9} lines more: make the window higher" == short[9]


def test_nothing_is_changed_by_looking():
    before = copy.deepcopy(FULL.status)
    frame(FULL, PLAIN)

    assert before == FULL.status


def test_a_name_that_a_terminal_would_obey_is_shown_harmlessly():
    peers = [{"peer": "a\x1b[2Jb", "established": 1, "recovered": 2}]

    assert "\x1b" not in "".join(frame(client(peers=peers), PLAIN))


def test_without_an_agent_that_is_said():
    assert ["✗ nobody listens"] == list(without_agent("nobody listens", PLAIN))


# --- paint ----------------------------------------------------------------------------------------


class Stream:
    def __init__(self, *, tty=True, encoding="utf-8"):
        self.isatty, self.encoding = lambda: tty, encoding


@pytest.mark.parametrize(
    "stream, environment, colored",
    [
        (Stream(), {}, True),
        (Stream(tty=False), {}, False),
        (Stream(), {"NO_COLOR": "1"}, False),
        (Stream(), {"NO_COLOR": ""}, True),
        (Stream(), {"TERM": "dumb"}, False),
    ],
)
def test_colour_is_for_terminals_that_want_it(stream, environment, colored, monkeypatch):
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert colored == ("\x1b" in paint_for(stream).ink("red", "x"))


@pytest.mark.parametrize("encoding, blocks", [("utf-8", True), ("ascii", False), ("latin-1", False), (None, False)])
def test_signs_are_such_that_the_stream_can_take_them(encoding, blocks):
    assert blocks == ("█" in paint_for(Stream(encoding=encoding)).bar(1, 4))


@pytest.mark.parametrize("paint", [PLAIN, Paint(color=False, blocks=False)], ids=["blocks", "ascii"])
@pytest.mark.parametrize("fraction", [-1, 0, 0.01, 0.5, 0.999, 1, 7])
def test_bars_and_columns_have_their_size(paint, fraction):
    assert 10 == len(paint.bar(fraction, 10))
    assert [5, 5] == [len(paint.column(fraction, 5, foretold=foretold)) for foretold in (True, False)]
