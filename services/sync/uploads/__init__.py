"""Uploads that go on after a break, in two dialects on one store.

What lives here: the store (``store``), tus 1.0.0 (``tus``), the IETF draft (``draft``), and what both
have in common: bytes appended, and the commit at the end (``resuming``).
"""
