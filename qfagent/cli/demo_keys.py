"""Keys in a demonstration: shown as fingerprints, and compared."""

import hashlib

from qfagent.local.client import Key


def compare(one: Key, other: Key) -> None:
    """Says whether two keys are the same; in a demonstration they are."""
    same = one.key == other.key
    print("  The same key at both ends." if same else "  THE KEYS DIFFER.")
    assert same, "both ends have the same key"


def fingerprint(key: Key) -> str:
    """What can be shown of a key."""
    return hashlib.sha256(key.key.reveal()).hexdigest()[:16]
