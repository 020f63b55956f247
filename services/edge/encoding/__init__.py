"""Compression of answers: ``http.handlers.encode`` and the encoders it has.

What lives here: which answers are encoded, what their fields become, the encoders, and the body that
encodes as it is pulled. What does not: reading Accept-Encoding (``quantum/http``), files that are
compressed already (``precompressed``, in the static room).
"""
