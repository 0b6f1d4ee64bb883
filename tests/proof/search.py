"""Searching for secrets in any amount of bytes: as they are, in hex, in base64, at every alignment.

* A secret is found if any 16 bytes of any of its forms stand anywhere.
* The haystack is sampled at every 16th byte, and every 16 bytes of every form are looked up: nothing is missed that
  is 31 bytes long or longer.
"""

import binascii

WINDOW = 16


class Needles:
    """What must not be found, by name."""

    def __init__(self):
        self._windows = {}  # 16 bytes -> name

    def __len__(self):
        return len(self._windows)

    def add_raw(self, name, data):
        """As it is; at least 31 bytes."""
        for at in range(len(data) - WINDOW + 1):
            self._windows[data[at : at + WINDOW]] = name

    def add(self, name, data):
        """In all forms."""
        self.add_raw(name, data)
        self.add_raw(f"{name} in hex", binascii.hexlify(data))
        self.add_raw(f"{name} in upper-case hex", binascii.hexlify(data).upper())
        self.add_base64(name, data)

    def add_base64(self, name, data):
        """In base64 only, whatever stands in front of it."""
        for skipped in range(3):
            text = binascii.b2a_base64(bytes(skipped) + data, newline=False).rstrip(b"=")
            first = 0 if not skipped else skipped + 1  # what the bytes in front have a part in
            for form in (text, text.replace(b"+", b"-").replace(b"/", b"_")):
                self.add_raw(f"{name} in base64", form[first:-1])

    def found_in(self, data):
        """The names of what stands in the data."""
        names = (self._windows.get(data[at : at + WINDOW]) for at in range(0, len(data), WINDOW))
        return {name for name in names if name is not None}
