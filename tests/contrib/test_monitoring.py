"""Dashboard and alert rules: they load, and name only what the agent serves."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from qfagent.health import FAULTS, WARNINGS
from qfagent.metrics import Metrics
from tests.test_metrics import FROZEN

CONTRIB = Path(__file__).parents[2] / "contrib"
RULES = CONTRIB / "prometheus/qfagent.rules.yml"
DASHBOARD = CONTRIB / "grafana/qfagent.json"
CASES = Path(__file__).with_name("alerts_test.yml")

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool, of Debian's prometheus")


def served():
    """Every name that a scrape may bring, with the labels that it may have."""
    return {
        family.name + suffix: {*family.labels, "instance", "le"}
        for family in Metrics().families
        for suffix in (("_bucket", "_count", "_sum") if family.kind == "histogram" else ("",))
    }


def queries():
    dashboard = json.loads(DASHBOARD.read_text())
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel.get("targets", []))
    for block, line in re.findall(r"expr: (?:\|\n((?: {10}.*\n)+)|(.*))", RULES.read_text()):
        yield block or line


def test_every_name_in_a_query_is_one_that_the_agent_serves():
    named = {name for query in queries() for name in re.findall(r"qfagent_\w+", query)}

    assert set() == named - served().keys()


def test_every_label_in_a_query_is_one_that_the_metric_has():
    wrong = {
        (name, label)
        for query in queries()
        for name, selector in re.findall(r"(qfagent_\w+)\{(.*?)\}", query)
        for label in re.findall(r"(\w+)=~?\"", selector)
        if label not in served()[name]
    }

    assert set() == wrong


def test_every_frozen_metric_is_on_the_dashboard():
    shown = set(re.findall(r"qfagent_\w+", DASHBOARD.read_text()))

    assert [] == [name for name in FROZEN if not any(found.startswith(name) for found in shown)]


def test_codes_that_rules_name_are_codes_of_health():
    named = {code for codes in re.findall(r'code=~?"(.*?)"', RULES.read_text()) for code in codes.split("|")}

    assert named
    assert set() == named - FAULTS.keys() - WARNINGS.keys()


def test_every_panel_has_an_id_and_a_place_of_its_own():
    panels = json.loads(DASHBOARD.read_text())["panels"]
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]

    assert len(panels) == len({panel["id"] for panel in panels})
    assert len(cells) == len(set(cells))
    assert 24 > max(x for x, _ in cells)


def promtool(*arguments):
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=60, check=False)


@needs_promtool
def test_prometheus_takes_the_rules():
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", RULES)

    assert 0 == done.returncode, done.stderr + done.stdout


@needs_promtool
def test_alerts_fire_when_they_should_and_not_before(tmp_path):
    cases = tmp_path / "cases.yml"
    cases.write_text(CASES.read_text().replace("RULES", str(RULES)))
    done = promtool("test", "rules", cases)

    assert 0 == done.returncode, done.stderr + done.stdout


@needs_promtool
def test_a_scrape_is_what_prometheus_reads():
    metrics = Metrics()
    metrics.count("key.answered", {"verb": "recover", "outcome": "ok", "dur_ms": 20.0})
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=metrics.text(), capture_output=True, timeout=60, check=False
    )

    assert 0 == done.returncode, done.stdout.decode()
