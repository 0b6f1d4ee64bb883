"""A server that lies, breaks off or floods: the old view stays, no token goes astray, everything is bounded."""

import datetime as dt
import gzip
import ssl
from functools import partial

import msgspec
import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from qfagent.errors import ManagementRefused, ManagementUnreachable
from qfagent.http.message import Response
from qfagent.managed import following, link
from qfagent.managed.following import Following
from qfagent.managed.kept import Keeper
from qfagent.managed.link import Link
from qfagent.managed.server import Server
from qfagent.testing.disk import MemoryDisk
from qfagent.world import World, at_once
from tests.managed.liar import ENROLLED, lying
from tests.managed.views import peer, told

VIEW = "/agent/v1/view"
WORLD = World(in_thread=at_once, random=bytes)  # no jitter: what fails is tried again at once


class Follower:
    """A peer that follows a liar."""

    def __init__(self, url, folder):
        (folder / "setup-key").write_text("the-setup-key")
        self.disk, self.events, self.changes = MemoryDisk(), [], 0
        self.disk.make_dir("/private", 0o700)
        self.keeper = Keeper(self.disk, "/private", url=url, name="alice")
        self.server = Server(Link(url, source=str), self.keeper, WORLD, setup_key_file=str(folder / "setup-key"))
        self.following = Following(self.server, self.keeper, WORLD, self.note)
        self.following.changed = self.change

    def note(self, name, /, **fields):
        self.events.append((name, fields))

    def change(self):
        self.changes += 1

    async def until(self, true):
        with trio.fail_after(10):
            while not true(self.following):
                await trio.sleep(0.01)

    async def until_trouble(self, text):
        await self.until(lambda f: f.trouble is not None and text in str(f.trouble))


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(following, "PAUSE", 0.01)


@pytest.fixture
async def liar():
    async with lying() as made:
        yield made


BAD = {
    "no JSON": Response(200, b"<html>hello</html>", "text/html"),
    "nothing": Response(200, b""),
    "another role": told(peer={**peer("alice"), "role": "root"}),
    "one share is enough": told(shares_required=1),
    "two peers of one name": told(peer("bob"), {**peer("bob"), "id": "x"}),
    "a difference to what nobody has": told(since="v0", version="v9"),
    "a redirect": Response(302, b"", headers=(("Location", "http://127.0.0.1:1/"),)),
    "an error without a reason": Response(500, b""),
    "compressed": Response(200, gzip.compress(b"{}"), headers=(("Content-Encoding", "gzip"),)),
    "deeply nested": Response(200, b"[" * 200_000),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
async def test_what_makes_no_sense_leaves_the_old_view_in_force_and_on_disk(liar, tmp_path, nursery, bad):
    liar.says[VIEW] = [told(), bad]
    made = Follower(liar.url, tmp_path)
    nursery.start_soon(made.following.run)
    await made.until(lambda f: f.trouble is not None)
    nursery.cancel_scope.cancel()

    assert isinstance(made.following.trouble, ManagementUnreachable)
    assert "v1" == made.following.view.version == made.keeper.view().version
    assert 1 == made.changes
    assert {"management-unreachable"} == set(made.following.issues())


async def test_after_nonsense_the_whole_is_asked_for_and_followed_again(liar, tmp_path, nursery):
    liar.says[VIEW] = [
        told(),
        told(since="v0", version="v9"),
        told(peer("erin"), version="v10"),
        trio.sleep_forever,
    ]
    made = Follower(liar.url, tmp_path)
    nursery.start_soon(made.following.run)
    await made.until(lambda f: f.view is not None and f.view.version == "v10")
    nursery.cancel_scope.cancel()
    asked = [request.target for request in liar.asked if request.target.startswith(VIEW)]

    assert ["known=", "known=v1", "known="] == [target.partition("?")[2].partition("&")[0] for target in asked[:3]]
    assert made.following.trouble is None


async def test_a_view_for_somebody_else_is_refused(liar, tmp_path, nursery):
    liar.says[VIEW] = [told(peer={**peer("mallory"), "role": "hub"})]
    made = Follower(liar.url, tmp_path)
    nursery.start_soon(made.following.run)
    await made.until_trouble("takes this peer for mallory; it is alice")
    nursery.cancel_scope.cancel()

    assert isinstance(made.following.trouble, ManagementRefused)
    assert made.following.view is None
    assert {"management-refused", "not-enrolled"} == set(made.following.issues())


async def test_a_server_that_answers_at_once_is_not_asked_in_a_loop(liar, tmp_path, nursery, monkeypatch):
    monkeypatch.setattr(following, "PAUSE", 0.2)
    liar.says[VIEW] = [Response(204)]
    made = Follower(liar.url, tmp_path)
    nursery.start_soon(made.following.run)
    await trio.sleep(1)
    nursery.cancel_scope.cancel()

    assert len([request for request in liar.asked if request.target.startswith(VIEW)]) <= 6


async def test_a_server_with_news_without_end_gets_a_tenth_of_the_time(liar, tmp_path, nursery):
    made, kept = Follower(liar.url, tmp_path), []

    async def slowly(work):
        await trio.sleep(0.05)
        kept.append(trio.current_time())
        return work()

    made.following._world = World(in_thread=slowly)
    liar.says[VIEW] = [told(version=f"v{number}") for number in range(100)]
    nursery.start_soon(made.following.run)
    await trio.sleep(1)
    nursery.cancel_scope.cancel()

    assert 2 <= len(kept) <= 4


async def test_a_disk_that_can_not_keep_the_view_leaves_the_old_one_in_force(liar, tmp_path, nursery):
    made = Follower(liar.url, tmp_path)
    liar.says[VIEW] = [told(), told(peer("erin"), version="v2")]
    nursery.start_soon(made.following.run)
    await made.until(lambda f: f.view is not None)
    made.disk.fail("write_at", 28, times=10**9)
    await made.until_trouble("no space left")
    issues, seen = set(made.following.issues()), made.following.view.version
    made.disk.heal()
    await made.until(lambda f: f.view.version == "v2" and f.trouble is None)
    nursery.cancel_scope.cancel()

    assert ({"view-not-kept"}, "v1") == (issues, seen)


async def test_no_token_goes_to_where_a_server_points(liar, tmp_path):
    async with lying() as other:
        there = (("Location", f"{other.url}{VIEW}"),)
        liar.says[VIEW] = [Response(307, b"", headers=there)]
        made = Follower(liar.url, tmp_path)
        with pytest.raises(ManagementUnreachable, match="answered 307"):
            await made.server.look(None)

    assert ["Bearer qfp-0123456789"] == liar.tokens()
    assert [] == other.asked


@pytest.mark.parametrize("token", ["", "two words", "line\nend", "x" * 600, None, 7])
async def test_a_token_that_could_not_be_sent_is_not_kept(liar, tmp_path, token):
    liar.says["/agent/v1/enrol"] = [ENROLLED | {"token": token}]
    made = Follower(liar.url, tmp_path)
    with pytest.raises(ManagementUnreachable, match="makes no sense"):
        await made.server.look(None)

    assert made.keeper.badge() is None


async def test_what_a_server_says_of_a_refusal_is_one_line_and_not_endless(liar, tmp_path):
    said = {"detail": "no\r\n\x1b[31m" + "x" * 10_000}
    liar.says["/agent/v1/enrol"] = [Response(403, msgspec.json.encode(said))]
    made = Follower(liar.url, tmp_path)
    with pytest.raises(ManagementRefused) as caught:
        await made.server.look(None)

    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


async def test_an_answer_that_never_ends_is_cut(liar, tmp_path, monkeypatch):
    monkeypatch.setattr(link, "MOST", 1 << 16)

    async def endless():
        async def pieces():
            while True:
                yield b" " * 4096

        return Response(200, stream=pieces())

    liar.says[VIEW] = [endless]
    made = Follower(liar.url, tmp_path)
    with trio.fail_after(10), pytest.raises(ManagementUnreachable, match="more than 65536 bytes"):
        await made.server.look(None)


async def test_a_server_that_says_nothing_is_given_up():
    async with lying() as silent:
        silent.says["/x"] = [trio.sleep_forever]
        with pytest.raises(ManagementUnreachable, match=r"no answer within 0\.2 s"):
            await Link(silent.url, source=str).ask("GET", "/x", seconds=0.2)


@pytest.mark.parametrize("reply", [b"", b"HTTP/1.1 200 OK\r\n", b"nonsense\r\n\r\n", b"HTTP/1.1 999999 x\r\n\r\n"])
async def test_what_is_no_http_is_no_answer(reply):
    async def serve(stream):
        await stream.receive_some(4096)
        await stream.send_all(reply)
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        port = listener.socket.getsockname()[1]
        with pytest.raises(ManagementUnreachable):
            await Link(f"http://127.0.0.1:{port}", source=str).ask("GET", "/", seconds=5)
        nursery.cancel_scope.cancel()


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path):
    certificate, key = self_signed(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    async def serve(stream):
        with trio.move_on_after(1), pytest.raises(trio.BrokenResourceError):
            await stream.do_handshake()

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_ssl_over_tcp, serve, 0, context, host="127.0.0.1"))
        port = listener.transport_listener.socket.getsockname()[1]
        with pytest.raises(ManagementUnreachable, match="certificate"):
            await Link(f"https://127.0.0.1:{port}", source=str).ask("GET", "/", seconds=5)
        nursery.cancel_scope.cancel()


def self_signed(folder):
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    certificate = builder.not_valid_before(now).not_valid_after(now + dt.timedelta(1)).sign(key, hashes.SHA256())
    (folder / "cert").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key").write_bytes(key.private_bytes(*plain))
    return folder / "cert", folder / "key"
