"""The weather between clients and hubs: every piece of a conversation is delayed, held up, bent, cut off, or passed on.

* A wire is a stream, so what is lost or comes too late is the rest of a connection; requests overtake each other
  on different ones.
* Whatever leaves is told to the observer first: what was sent can't be taken back.
"""

import trio


class Weather:
    """What may happen to any piece, drawn from `chance`; probabilities are changed while it lasts."""

    def __init__(self, chance):
        self.chance = chance
        self.latency = 0.005  # seconds, on average
        self.loss = self.bending = self.repeating = 0.0
        self._parted = {}  # (client, hub) -> Event of their reunion

    def calm(self):
        """Everything goes through, soon, as it is."""
        self.latency, self.loss, self.bending, self.repeating = 0.005, 0.0, 0.0, 0.0
        for pair in list(self._parted):
            self.reunite(*pair)

    def part(self, client, hub):
        """Nothing passes between the two until they are reunited."""
        self._parted.setdefault((client, hub), trio.Event())

    def reunite(self, client, hub):
        if (client, hub) in self._parted:
            self._parted.pop((client, hub)).set()

    async def delay(self, client, hub):
        await trio.sleep(self.chance.expovariate(1 / self.latency))
        while (client, hub) in self._parted:
            await self._parted[client, hub].wait()

    def cut(self, data):
        """What comes through of a piece before its connection breaks; None if it does not break."""
        return data[: self.chance.randrange(len(data) + 1)] if self.chance.random() < self.loss else None

    def bend(self, data):
        """The piece, perhaps with a bit flipped."""
        if not data or self.chance.random() >= self.bending:
            return data
        at = self.chance.randrange(len(data))
        return data[:at] + bytes([data[at] ^ 1 << self.chance.randrange(8)]) + data[at + 1 :]

    def repeats(self):
        return self.chance.random() < self.repeating


class Wire(trio.abc.Stream):
    """One end of a connection; what it sends is noted, and then goes through the weather."""

    def __init__(self, end, weather, pair, note):
        self._end, self._weather, self._pair, self._note = end, weather, pair, note
        self.poll = end.poll

    async def send_all(self, data):
        data = bytes(data)
        self._note(data)
        await self._weather.delay(*self._pair)
        passed = self._weather.cut(data)
        self._end.put(self._weather.bend(data if passed is None else passed))
        if passed is not None:
            await self.aclose()
            raise trio.BrokenResourceError("the weather has cut this wire")

    async def wait_send_all_might_not_block(self):
        await self._end.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes=None):
        return await self._end.receive_some(max_bytes)

    async def aclose(self):
        await self._end.aclose()
