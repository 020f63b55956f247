"""Sans-I/O codecs: HTTP/1.1, HTTP/2, WebSocket frames. Bytes in, events out; no sockets, no tasks."""
