"""``quantum sync`` and ``realtime-sync-client``: keep a folder the same as a share.

What lives here: the flags and the run (``command``), questions to a server or a folder's state
(``questions``), what is printed (``report``). What does not: the client, ``services/sync/client``.
"""

from services.cli.sync.command import add, client, execute

__all__ = ["add", "client", "execute"]
