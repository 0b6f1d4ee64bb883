"""A managed peer's side of the management plane: what it is told, and how it is asked for."""
