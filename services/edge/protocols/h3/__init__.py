"""HTTP/3 on aioquic: datagrams in, Requests out; the same messages as the other versions.

What lives here: the UDP socket (``datagrams``), connections by id (``endpoint``), windows tied to
what was read and certificates by name (``quic``), one connection (``connection``), one exchange
(``stream``). What does not: routing, and how heads become messages: the edge's application does that
for HTTP/2 and HTTP/3 alike.
"""
