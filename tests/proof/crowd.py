"""A crowd that wants something of an agent, in a process of its own: `python -m tests.proof.crowd`, told by JSON.

* Over TCP: clients that are idle, clients that fetch under pads of their own, and strangers who are slow or silent.
* Over the socket: callers of one user, some of them slow.
"""

import json
import os
import socket
import sys
from collections import Counter
from contextlib import suppress

import trio

from qfagent.dske import psrd, wire
from qfagent.http.encoding import encode_request
from tests.hub.parties import Voice

GET = b"GET /dske/v1/health HTTP/1.1\r\nHost: hub\r\n\r\n"
ASK = b"GET %b HTTP/1.1\r\nHost: q\r\nContent-Length: 0\r\n\r\n"
ENDED = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)


class Crowd:
    """Everybody, for some seconds; `answers` counts what they heard, by who they are."""

    def __init__(self, told):
        self.told, self.answers = told, Counter()

    async def come(self):
        with trio.move_on_after(self.told["seconds"]):
            async with trio.open_nursery() as nursery:
                for number, data in enumerate(self.told.get("files", ())):
                    nursery.start_soon(self._again, self.fetch, number, data)
                for who in ("idle", "slow", "silent", "caller", "slow_caller"):
                    for number in range(self.told.get(who, 0)):
                        nursery.start_soon(self._again, getattr(self, who), number)

    async def _again(self, act, *args):
        while True:
            with suppress(*ENDED):
                await act(*args)
            self.answers[f"{act.__name__}, anew"] += 1
            await trio.sleep(1)

    # --- over TCP

    async def idle(self, number):
        async with await self._connect(number) as stream:
            await self._ask(stream, GET, "idle")
            await trio.sleep(60)

    async def fetch(self, number, data):
        """A client at work: it registers, and then asks again and again for what waits."""
        voice = Voice(None, psrd.decode(data.encode()))
        async with await self._connect(number) as stream:
            name = f"peer-{number}"
            body = {"peer": name, "client_id": voice.block.client_id, "block": voice.block.id}
            await trio.sleep(number / 50)  # nobody has told them to march in step
            await self._ask(stream, _worded(voice.message(wire.REGISTER, body)), "register")
            while True:
                message = voice.message(wire.FETCH, {"secrets": [{"generator": "peer-0"}]})
                await self._ask(stream, _worded(message), "fetch")
                await trio.sleep(self.told["pause"])

    async def slow(self, number):
        async with await self._connect(number) as stream:
            for byte in GET:
                await stream.send_all(bytes([byte]))
                await trio.sleep(0.5)

    async def silent(self, number):
        async with await self._connect(number) as stream:
            await stream.send_all(GET[:20])
            await trio.sleep(60)

    async def _connect(self, number):
        sock = trio.socket.socket()
        await sock.bind((f"127.0.{2 + number // 250}.{1 + number % 250}", 0))
        await sock.connect(tuple(self.told["hub"]))
        return trio.SocketStream(sock)

    # --- over the socket

    async def caller(self, number):
        target = (b"/v1/status", b"/readyz", b"/v1/hubs", b"/metrics")[number % 4]
        await trio.sleep(number / 50)
        while True:
            async with await trio.open_unix_socket(self.told["socket"]) as stream:
                await self._ask(stream, ASK % target, "caller")
            await trio.sleep(1)

    async def slow_caller(self, _):
        """Asks for much, and reads nothing of it."""
        async with await trio.open_unix_socket(self.told["socket"]) as stream:
            for _ in range(100):
                await stream.send_all(ASK % b"/openapi.json")
            await trio.sleep(60)

    async def _ask(self, stream, data, who):
        await stream.send_all(data)
        answer = b""
        while b"\r\n\r\n" not in answer:
            more = await stream.receive_some(65_536)
            if not more:
                raise trio.BrokenResourceError
            answer += more
        self.answers[f"{who} {answer[9:12].decode()}"] += 1
        head, _, body = answer.partition(b"\r\n\r\n")
        length = next(int(line[16:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length: "))
        while len(body) < length and (more := await stream.receive_some(65_536)):
            body += more


def _worded(message):
    headers = [("DSKE-Auth", message.auth[0].decode())]
    return encode_request("POST", message.target, headers, message.body, host="hub")


def become(uid, groups):
    if uid is not None:
        os.setgroups(groups)
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)


def main():
    told = json.load(sys.stdin)
    become(told.get("uid"), told.get("groups", []))
    crowd = Crowd(told)
    trio.run(crowd.come)
    json.dump(crowd.answers, sys.stdout)


if __name__ == "__main__":
    socket.setdefaulttimeout(10)
    main()
