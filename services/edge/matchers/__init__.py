"""Matchers, one file per Caddy id, each compiled to a closure."""
