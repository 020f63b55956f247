"""TLS at the edge: the policy for a client's hello, who the client is, and the handshake itself.

Certificates are fetched and kept in ``services.edge.certificates``.
"""
