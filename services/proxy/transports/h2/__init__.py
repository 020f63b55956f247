"""HTTP/2 towards upstreams: connections that many requests share, one attempt on one of them.

What does not live here: the protocol itself (``quantum.connection.h2_client``).
"""
