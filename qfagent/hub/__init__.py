"""The role of a security hub: PSRD out, sealed shares in, never a key."""
