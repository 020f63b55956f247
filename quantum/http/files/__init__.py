"""Answering with a file: what ``file_server`` and ``file_sync`` share, and nothing that only one needs.

What lives here: preconditions, byte ranges and HTTP dates (pure), content types, the body that is read
from a descriptor, and the answer put together from them. What does not: which file a path means.
"""
