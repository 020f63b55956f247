"""The edge room: the door: sockets, TLS, protocols, routing, middleware and matchers."""
