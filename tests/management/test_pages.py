"""The dashboard's files: served to anybody, under a policy that keeps out everything from elsewhere."""

import re
from importlib.resources import files

import pytest

from qfagent.management.pages import page_routes
from tests.management.desks import Desk

PATHS = [route.path for route in page_routes()]
TEXTS = {file.name: file.read_text() for file in files("qfagent.management").joinpath("dashboard").iterdir()}


@pytest.mark.parametrize("path", PATHS)
async def test_a_page_is_shown_to_anybody_under_a_strict_policy(path):
    answer = await Desk().ask("GET", path, token="")
    headers = dict(answer.headers)
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))

    assert 200 == answer.status
    assert ("'none'", "'self'", "'self'") == (policy["default-src"], policy["script-src"], policy["style-src"])
    assert {"'none'", "'self'", "'script'"} == set(policy.values())
    assert ("nosniff", "no-store") == (headers["X-Content-Type-Options"], headers["Cache-Control"])


def test_every_file_is_served_and_every_path_in_a_file_is_one():
    named = {path for text in TEXTS.values() for path in re.findall(r'"(/dashboard/[\w.-]+)"', text)}

    assert len(TEXTS) == len(PATHS)
    assert named <= set(PATHS)
    assert {"/", "/dashboard/app.js", "/dashboard/style.css"} <= set(PATHS)


@pytest.mark.parametrize("name", TEXTS)
def test_nothing_on_a_page_comes_from_elsewhere_or_stands_in_the_page_itself(name):
    text = TEXTS[name].replace("http://www.w3.org/2000/svg", "")  # a name, not a place

    assert not re.search(r"(https?:)?//[\w-]+\.\w", text)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|\sstyle=|\son\w+=", text)
    assert "<script>" not in text


@pytest.mark.parametrize("path", ["/dashboard/", "/dashboard/../role.py", "/dashboard/%2e%2e%2frole.py", "/index.html"])
async def test_what_is_no_page_is_not_found(path):
    assert 404 == (await Desk().ask("GET", path, token="")).status
