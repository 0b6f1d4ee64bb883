"""The pages are the dashboard's files, read once and served as they are; nothing on them comes from elsewhere.

* A browser is told to run, show and ask nothing but what this server gives it, and to send nobody a referrer.
* They hold no secrets: whoever sees them has still to say a token.
"""

from importlib.resources import files
from typing import Final

from qfagent.http.message import Response
from qfagent.http.routes import Route
from qfagent.management.asked import Asked

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
HEADERS: Final = (
    ("Content-Security-Policy", POLICY),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
FRONT: Final = "index.html"
_KINDS: Final = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


def page_routes() -> list[Route]:
    """The table: a path for each file, and the front page at the top."""
    found = [file for file in files("qfagent.management").joinpath("dashboard").iterdir() if file.is_file()]
    return [_route(file.name, file.read_bytes()) for file in sorted(found, key=lambda file: file.name)]


def _route(name: str, body: bytes) -> Route:
    page = Response(200, body, _KINDS[name.rpartition(".")[2]], HEADERS)

    async def show(_: Asked) -> Response:
        return page

    return Route("GET", "/" if name == FRONT else f"/dashboard/{name}", "anybody", show, "a page", gives=bytes)
