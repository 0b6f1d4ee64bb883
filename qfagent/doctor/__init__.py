"""The doctor looks at everything that an agent needs, and names a remedy for whatever is wrong."""
