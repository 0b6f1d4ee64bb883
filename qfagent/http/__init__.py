"""HTTP/1.1 on trio, strict, both sides."""
