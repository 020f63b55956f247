"""Upstreams: their addresses, which of them is chosen, how they are talked to."""
