"""What survives power loss: synchronous, synced, crash-tested."""
