"""Middleware and terminal handlers that run in the edge itself, one file per Caddy id."""
