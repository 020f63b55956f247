"""The sync room: folders kept the same everywhere, live.

What lives here: REST and WebSocket access to synced folders (``rest``, ``live``), the messages
(``protocol``), the first page (``page``, ``web/``). The folders themselves are in ``share``.
"""
