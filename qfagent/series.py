"""Series of numbers, and how Prometheus reads them: its text format, version 0.0.4.

* A family without labels has one series from the start; with labels, a series for each set of values that was named.
* Values are kept per family and told in the order in which their series came.
"""

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_ESCAPES: Final = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


class Family(ABC):
    """Series of one name, told apart by the values of their labels."""

    kind: str

    def __init__(self, name: str, meaning: str, labels: Sequence[str] = ()) -> None:
        self.name, self.meaning, self.labels = name, meaning, tuple(labels)

    def lines(self) -> Iterator[str]:
        """The family as Prometheus reads it."""
        yield f"# HELP {self.name} {self.meaning}"
        yield f"# TYPE {self.name} {self.kind}"
        yield from self._samples()

    @abstractmethod
    def _samples(self) -> Iterator[str]: ...


class _Plain(Family):
    """One value a series."""

    def __init__(self, name: str, meaning: str, labels: Sequence[str] = ()) -> None:
        super().__init__(name, meaning, labels)
        self._values: dict[tuple[str, ...], float] = {} if labels else {(): 0.0}

    def _samples(self) -> Iterator[str]:
        for values, value in self._values.items():
            yield _sample(self.name, zip(self.labels, values, strict=True), value)


class Gauge(_Plain):
    """What goes up and down."""

    kind = "gauge"

    def set(self, value: float, *values: str) -> None:
        """The value, of the series with these values of its labels."""
        self._values[values] = float(value)

    def clear(self) -> None:
        """Forgets every series that has labels; one that has none is 0."""
        self._values = {} if self.labels else {(): 0.0}


class Counter(_Plain):
    """What only grows; its name ends in `_total`."""

    kind = "counter"

    def count(self, *values: str) -> None:
        """One more."""
        self._values[values] = self._values.get(values, 0.0) + 1

    def reach(self, total: float, *values: str) -> None:
        """Brings it to what was counted elsewhere; a smaller total changes nothing."""
        self._values[values] = max(self._values.get(values, 0.0), float(total))


class Histogram(Family):
    """How many values were at most so large; one series, without labels."""

    kind = "histogram"

    def __init__(self, name: str, meaning: str, *, bounds: Sequence[float]) -> None:
        super().__init__(name, meaning)
        self._bounds, self._counts, self._sum = (*bounds, float("inf")), [0] * (len(bounds) + 1), 0.0

    def observe(self, value: float) -> None:
        """One more value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def _samples(self) -> Iterator[str]:
        so_far = 0
        for bound, count in zip(self._bounds, self._counts, strict=True):
            so_far += count
            yield _sample(f"{self.name}_bucket", [("le", _number(bound))], so_far)
        yield _sample(f"{self.name}_count", (), so_far)
        yield _sample(f"{self.name}_sum", (), self._sum)


def exposition(families: Iterable[Family]) -> bytes:
    """All of it, as it is scraped."""
    return "".join(f"{line}\n" for family in families for line in family.lines()).encode()


def _sample(name: str, labels: Iterable[tuple[str, str]], value: float) -> str:
    told = ",".join(f'{label}="{text.translate(_ESCAPES)}"' for label, text in labels)
    return f"{name}{{{told}}} {_number(value)}" if told else f"{name} {_number(value)}"


def _number(value: float) -> str:
    return "+Inf" if value == float("inf") else repr(float(value))
