"""A remedy is tried: its commands run in a shell as they stand."""

import re
import subprocess


def commands(finding):
    """The commands in a remedy that can be pasted as they are."""
    return [command for command in re.findall(r"`([^`]+)`", finding.remedy) if not re.search(r"\b[A-Z]{2,}\b", command)]


def apply(finding):
    """Runs the finding's one command."""
    [command] = commands(finding)
    subprocess.run(["sh", "-c", command], check=True, capture_output=True, timeout=30)


def bad(findings):
    """What is not as it should be."""
    return [finding for finding in findings if finding.level != "ok"]


def levels(findings):
    return [(finding.check, finding.level) for finding in bad(findings)]
