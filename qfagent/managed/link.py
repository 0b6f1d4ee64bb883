"""A link is the way to a management server: HTTP or HTTPS, from this peer's own address, one request at a time.

* What is not encrypted leaves by the interface of the mesh or not at all, whatever the routes say.
* Whatever a server sends is bounded in size and in time, is not redirected, and comes to one of two errors.
* No text of a server goes further than one line of printable characters; no token goes into a text of ours.
"""

import ssl
from collections.abc import Callable
from typing import Any, Final, TypeVar

import httpx
import msgspec
import trio

from qfagent.errors import HubUnavailable, ManagementRefused, ManagementUnreachable, NotRecognized

MOST: Final = 32 << 20  # bytes of an answer; a view of 10,000 peers has some 1.2 million
SECONDS: Final = 30.0  # for one request and its answer
_LONGEST_REASON: Final = 300
_REFUSALS: Final = frozenset({400, 403, 404, 409, 422})

Option = tuple[int, int, bytes]
T = TypeVar("T")


class Reason(msgspec.Struct, frozen=True):
    """Why not, in the words of either kind of server."""

    detail: str = ""
    message: str = ""


class Link:
    """The way to one server. `source` gives the address to call from, empty for any; it may raise InterfaceDown.

    `bound` gives the options of a socket that stays in the mesh.
    """

    def __init__(self, url: str, source: Callable[[], str], *, bound: Callable[[], list[Option]] = list) -> None:
        self.url, self._source, self._bound = url.rstrip("/"), source, bound
        self._verify: ssl.SSLContext | bool = ssl.create_default_context() if url.startswith("https:") else False

    async def ask(
        self, method: str, path: str, *, authorization: str = "", seconds: float = SECONDS, **more: Any
    ) -> bytes | None:
        """The body of an answer that says yes, None for one without. ManagementUnreachable, ManagementRefused."""
        headers = {"accept-encoding": "identity", "content-type": "application/json"}
        headers |= {"authorization": authorization} if authorization else {}
        try:
            with trio.fail_after(seconds):
                status, body = await self._exchange(method, path, headers=headers, **more)
        except trio.TooSlowError:
            raise ManagementUnreachable(f"{self.url}: no answer within {seconds:g} s") from None
        except HubUnavailable as error:
            raise ManagementUnreachable(f"{self.url}: {error}") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ManagementUnreachable(f"{self.url}: {_root_of(error)}") from error
        return self._judged(status, body)

    async def _exchange(self, method: str, path: str, **more: Any) -> tuple[int, bytes]:
        source, options = self._source() or None, [] if self._verify else self._bound()
        transport = httpx.AsyncHTTPTransport(verify=self._verify, local_address=source, socket_options=options)
        async with (
            httpx.AsyncClient(transport=transport, timeout=None, trust_env=False) as client,  # noqa: S113  # `ask` has one for all
            client.stream(method, f"{self.url}{path}", **more) as response,
        ):
            return response.status_code, await self._read(response)

    async def _read(self, response: httpx.Response) -> bytes:
        body = bytearray()
        if "content-encoding" in response.headers:
            raise ManagementUnreachable(f"{self.url}: its answer is compressed, and nobody has asked for that")
        try:
            async for piece in response.aiter_raw():
                body += piece
                if len(body) > MOST:
                    await response.aclose()  # and so the loop meets its end
        except httpx.HTTPError:
            if len(body) <= MOST:
                raise
        if len(body) > MOST:
            raise ManagementUnreachable(f"{self.url}: its answer has more than {MOST} bytes")
        return bytes(body)

    def _judged(self, status: int, body: bytes) -> bytes | None:
        if status == 204:
            return None
        if status in (200, 201):
            return body
        reason = f"{self.url} answered {status}{_reason(body)}"
        if status == 401:
            raise NotRecognized(reason)
        raise (ManagementRefused if status in _REFUSALS else ManagementUnreachable)(reason)


def understood(kind: type[T], body: bytes | None) -> T:
    """The body as JSON of this kind; ManagementUnreachable says where it is not."""
    try:
        return msgspec.json.decode(body or b"", type=kind)
    except (ValueError, RecursionError) as error:
        raise ManagementUnreachable(f"its answer makes no sense: {_line(str(error))}") from None


def _reason(body: bytes) -> str:
    try:
        reason = msgspec.json.decode(body, type=Reason)
    except (ValueError, RecursionError):
        return ""
    said = _line(reason.detail or reason.message)
    return f": {said}" if said else ""


def _root_of(error: BaseException) -> str:
    """What the deepest cause that says anything has to say; the library's own errors seldom do."""
    said, cause = type(error).__name__, error.__context__
    while cause is not None:
        said = _line(str(cause)) or said
        cause = cause.__context__
    return said


def _line(text: str) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in text[:_LONGEST_REASON]).strip()
