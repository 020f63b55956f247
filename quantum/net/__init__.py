"""Sockets: addresses, listeners, TLS contexts. No HTTP in here."""
