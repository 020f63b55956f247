"""The wall between rooms: calling a handler that may run in another process.

What lives here: the one decision local or remote (``resolve``), the client (``remote``), the server
and what travels with a request (``envelope``). What does not: any knowledge of which rooms exist.
"""
