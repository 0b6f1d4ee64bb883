"""The protocol: values in, values out; no sockets, files, clocks or randomness."""
