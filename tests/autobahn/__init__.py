"""Autobahn's cases for WebSockets (by kosoku), through edge and proxy and directly: the same verdicts.

``python -m tests.autobahn`` runs all of them; ``test_autobahn.py`` those that take no time.
"""
