"""QUIC connections of aioquic as edge and the proxy need them: windows that follow readers, fewer steps per packet.

No sockets and no HTTP/3 in here. aioquic's insides are known in this package, and in no other place.
"""
