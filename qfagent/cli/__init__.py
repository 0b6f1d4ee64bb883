"""The commands: each a row of a table, callers of `local.client` only."""
