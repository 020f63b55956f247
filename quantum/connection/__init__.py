"""Asyncio connections: one codec, one socket and the HTTP types tied together.

What lives here: ties that two or more rooms or the hop need: HTTP/2 as a server and as a client.

What does not live here: HTTP/1 (the edge serves it, the proxy calls with it, each alone) and HTTP/3.
"""
