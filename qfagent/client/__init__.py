"""The role of a peer that establishes keys through hubs."""
