"""HTTP/3 towards upstreams: connections over QUIC with the face of ``quantum.connection.h2_client``.

So ``h2.channels`` shares them among requests, and ``h2.exchange`` makes its attempts on them.
"""
