"""Elliptic curves (groups) of TLS, as configurations name them: for clients of edge, and towards upstreams."""

from __future__ import annotations

CURVES = {
    "x25519mlkem768": "X25519MLKEM768",
    "x25519": "X25519",
    "secp256r1": "P-256",
    "secp384r1": "P-384",
    "secp521r1": "P-521",
}
"""Curves by their names in configurations, and OpenSSL's."""


def check_curves(names: list[str]) -> list[str]:
    """Return ``names``; ValueError when one is not known."""
    for name in names:
        if name not in CURVES:
            raise ValueError(f"unknown curve {name!r}: {', '.join(CURVES)}")
    return names
