"""What rooms ask the certs room for: roots to trust, certificates to present.

What lives here: reading pools of roots (``pools``), asking for a certificate with its key
(``certificates``), both for rooms that speak to upstreams (``upstreams``). What does not: making any of it.
"""
