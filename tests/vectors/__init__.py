"""Golden vectors as data; each file's `comment` says how its cases are read."""

import json
from pathlib import Path


def load(name):
    return json.loads((Path(__file__).parent / f"{name}.json").read_text())


def cases(name, **wanted):
    found = load(name)["cases"]
    return [case for case in found if all(case.get(key) == value for key, value in wanted.items())]


def names(found):
    return [case["name"] for case in found]
