"""Shipped for tests of the agent and of what is built on it: a disk that loses power, a hub that lies."""
