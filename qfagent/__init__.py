"""The post-quantum key agent for WireGuard meshes."""

__version__ = "0.1.0"
