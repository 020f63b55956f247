"""The hop's own frames, both roles: what HTTP/2 does between our processes, without what costs it there.

The face of ``quantum.wire.h2.H2Codec``, so that connections drive either; the rules at its top hold here too.
What is different: a message that is all here travels as one frame, head and body, and is told when all of it
has come; fields are lines, told apart by C code, not compressed; windows belong to streams only, given back
by halves; frames of up to 64 KiB. Both ends are this program: bounds are there for memory and for defects.

    frame    length of the payload (4 bytes), kind (1), flags (1), stream (8), payload; big-endian
    message  length of the head (4 bytes), head, then the body if the END flag says that this is all
    head     name LF value LF name LF value …

A client begins with HELLO, its payload ``quantum-hop`` and the version; the server answers with its HELLO.
"""
