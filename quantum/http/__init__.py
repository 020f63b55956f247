"""HTTP as the program sees it: one request type, one response type, whatever the version.

What lives here: messages, bodies, the handler verb, matching and routing, placeholders, and the two
decisions that must be taken in one place: errors to answers (``failure``) and forwarding fields.
What does not: bytes (``quantum.wire``), sockets (``quantum.net``), any particular handler.
"""
