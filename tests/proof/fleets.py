"""Real agents whose traffic is tapped, and whose every secret is known: pads from files, keys from callers."""

import json
from binascii import a2b_base64
from pathlib import Path

from qfagent.dske import psrd
from qfagent.dske.pad import AUTH_BYTES
from qfagent.dske.secret import xor
from qfagent.testing.processes import AgentProcess, Fleet, free_port, wait_until
from tests.system.tap import Record, Tap

BROKEN = Path(__file__).with_name("broken")


class Tapped(Fleet):
    """Hubs behind taps, and clients; `files` are the PSRD files that were carried, `keys` all keys that came out."""

    def __init__(self, folder, *, pad=65_536, prefix=()):
        super().__init__(folder)
        self.record, self.files, self.keys = Record(), [], []
        self._taps, self._pad, self._prefix = [], pad, prefix

    def __exit__(self, *how):
        super().__exit__(*how)
        for tap in self._taps:
            tap.close()

    def begin(self, hubs=2, clients=("alice", "bob")):
        """Everybody is up and registered."""
        pads = f"[hub.provisioner]\npool_size = {len(clients)}\nuser_bytes = {self._pad}\nserver_bytes = {self._pad}"
        for number in range(1, hubs + 1):
            port = free_port()
            self._taps.append(Tap((f"127.0.1.{number}", port), ("127.0.0.1", port), self.record))
            place = f'fqdn = "127.0.1.{number}"\nlisten = "127.0.0.1:{port}"'
            self.hubs[f"hub{number}"] = self._agent(f"hub{number}", f'role = "hub"\n[hub]\n{place}\n{pads}')
        for name in clients:
            self.clients[name] = self._agent(name, 'role = "client"')
        for process in (*self.hubs.values(), *self.clients.values()):
            process.start()
        for process in (*self.hubs.values(), *self.clients.values()):
            process.wait_up()
        self.enrol_all()

    def carry(self, hub, client):
        """Moves a file, and keeps in mind what is in it."""
        wait_until(lambda: bool(self.pool(hub)), f"a file in the pool of {hub.name}")
        self.files.append(self.pool(hub)[0].read_bytes())
        return super().carry(hub, client)

    @property
    def blocks(self):
        return {block.id: block for block in map(psrd.decode, self.files)}

    def make_keys(self, number, generator="alice", recoverer="bob"):
        """Establishes keys, one a secret, and recovers them."""
        for _ in range(number):
            [made] = self.clients[generator].agent.establish(recoverer)
            found = self.clients[recoverer].agent.recover(made.key_id, peer=generator)
            assert found.key == made.key
            self.keys.append(made.key.reveal())

    def uses(self):
        """Every span that was seen in use: block, direction, start, end, and the message's body."""
        with self.record._lock:
            seen = [(*which, *use) for which, uses in self.record._uses.items() for use in uses]
        return [(block, direction, start, end, content[2]) for block, direction, start, end, content in seen]

    def spent(self):
        """Every span that was seen in use: block, offset in its file, and its bytes."""
        blocks = self.blocks
        for block, direction, start, end, _ in self.uses():
            user, server = blocks[block].user.reveal(), blocks[block].server.reveal()
            first = 0 if direction == "user" else len(user)
            yield block, first + start, (user + server)[first + start : first + end]

    def shares(self):
        """Every share that was deposited, in clear."""
        for block, direction, start, end, body in self.uses():
            pad = self.blocks[block].user.reveal()[start + AUTH_BYTES : end]
            for deposit in json.loads(body).get("deposits", ()) if direction == "user" else ():
                sealed = a2b_base64(deposit["share"])
                yield xor(sealed, pad[: len(sealed)])
                pad = pad[len(sealed) :]

    def _agent(self, name, config):
        agent = AgentProcess(self._folder, name, f"{config}\n[log]\nlevel = 'debug'")
        agent.prefix = self._prefix
        return agent


def breaking(code):
    """The prefix of an agent that is broken by some code before it starts."""
    return ("env", f"PYTHONPATH={BROKEN}:{BROKEN.parents[2]}", f"BROKEN={code}")
