"""The wheels are what the agent depends on, as Debian 12 can run them: locked by version and by hash.

`python -m contrib.debian.wheels` writes the lock anew: what pip finds now for `pyproject.toml`, for every architecture.

* A wheel that the lock does not name is never installed, and nothing is built from source.
* The versions are the same on every architecture.
"""

import json
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
LOCK: Final = HERE / "requirements.lock"
PYPROJECT: Final = HERE.parent.parent / "pyproject.toml"
MACHINES: Final = {"amd64": "x86_64", "arm64": "aarch64"}  # Debian's word, and Python's
_GLIBC: Final = ("_2_34", "_2_28", "_2_17", "2014")  # Debian 12 has 2.36
_HEAD: Final = "# written by `make lock`\n"


def for_debian(architecture: str) -> list[str]:
    """What pip is told, so that it takes wheels for Debian 12, whatever machine this is."""
    platforms = [f"--platform=manylinux{version}_{MACHINES[architecture]}" for version in _GLIBC]
    return ["--only-binary=:all:", "--implementation=cp", "--python-version=3.11", *platforms]


def pip(*arguments: str) -> str:
    """What pip prints; CalledProcessError."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    """Writes the lock."""
    wanted = tomllib.loads(PYPROJECT.read_text())["project"]["dependencies"]
    hashes: dict[str, set[str]] = defaultdict(set)
    for architecture in MACHINES:
        for wheel in _resolve(architecture, wanted):
            hashes[_pin(wheel)].add(wheel["download_info"]["archive_info"]["hashes"]["sha256"])
        wanted = sorted(hashes)
    LOCK.write_text(_HEAD + "".join(_line(pin, hashes[pin]) for pin in sorted(hashes)))


def _resolve(architecture: str, wanted: list[str]) -> list[dict[str, Any]]:
    options = ["--dry-run", "--ignore-installed", "--report=-", "--target=nowhere"]
    found: list[dict[str, Any]] = json.loads(pip("install", *options, *for_debian(architecture), *wanted))["install"]
    return found


def _pin(wheel: dict[str, Any]) -> str:
    name = re.sub(r"[-_.]+", "-", wheel["metadata"]["name"]).lower()
    return f"{name}=={wheel['metadata']['version']}"


def _line(pin: str, hashes: set[str]) -> str:
    return " \\\n".join([pin, *(f"    --hash=sha256:{value}" for value in sorted(hashes))]) + "\n"


if __name__ == "__main__":
    main()
