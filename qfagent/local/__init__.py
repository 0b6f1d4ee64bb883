"""The machine's own tools: the control socket, and what talks to it."""
