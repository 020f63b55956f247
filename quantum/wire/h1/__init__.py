"""HTTP/1.1 as bytes (RFC 9112), without sockets: heads, chunks, and the parsers of both sides.

What lives here: what must be exact about the wire, once, for the edge, the proxy's client and the
hop. What does not: timeouts, back-pressure, what a request means.
"""
