"""An HTTP/2 upstream that misbehaves on demand: nghttp2's frames, and none of the program's server."""

import asyncio

from quantum.wire.h2 import REFUSED_STREAM, H2Codec, H2Settings, H2Sink


class H2Upstream:
    """Answers "METHOD path", echoes /echo as it comes; the attributes say what goes wrong next."""

    def __init__(self):
        self.connections = self.seen = self.resets = 0
        self.max_streams = 100
        self.hold = None
        self.refuse = self.cut = 0
        self.half = self.stall = False
        self.peers = []
        self.dial = ""

    async def start(self, context=None):
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Peer(self), "127.0.0.1", 0, ssl=context)
        self.dial = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self):
        self._server.close()
        for peer in self.peers:
            peer.transport.abort()
        await asyncio.sleep(0.02)

    def say_goodbye(self):
        self.peers[-1].codec.goaway()
        self.peers[-1].flush()


class Peer(asyncio.Protocol, H2Sink):
    def __init__(self, upstream):
        self.upstream = upstream
        self.codec = H2Codec("server", H2Settings(max_streams=upstream.max_streams), self)
        self.sums = {}
        self.tasks = set()

    def connection_made(self, transport):
        self.transport = transport
        self.upstream.connections += 1
        self.upstream.peers.append(self)
        self.flush()

    def data_received(self, data):
        self.codec.receive(data)
        self.flush()

    def flush(self):
        while data := self.codec.take_output(65536):
            self.transport.write(data)

    def request_received(self, stream, fields, ended):
        upstream = self.upstream
        upstream.seen += 1
        if upstream.refuse:
            upstream.refuse -= 1
            self.codec.reset(stream, REFUSED_STREAM)
        elif upstream.cut:
            upstream.cut -= 1
            self.transport.abort()
        elif (b":path", b"/echo") in fields or (b":protocol", b"websocket") in fields:
            self.sums[stream] = 0
            self.codec.respond(stream, [(b":status", b"200")], False)
        else:
            task = asyncio.get_running_loop().create_task(self.answer(stream, dict(fields)))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def answer(self, stream, fields):
        upstream = self.upstream
        if upstream.hold is not None:
            await upstream.hold.wait()
        try:
            self.codec.respond(stream, [(b":status", b"200")], False)
            if upstream.half:
                self.codec.send_data(stream, b"half")
                self.flush()
                self.transport.close()
            elif upstream.stall:
                self.codec.send_data(stream, b"half")
            else:
                text = fields[b":method"] + b" " + fields[b":path"]
                self.codec.send_data(stream, text, True)
            self.flush()
        except Exception:
            assert self.upstream.resets  # only a stream that was reset may be gone

    def bytes_received(self, stream, data, ended):
        self.codec.consumed(stream, len(data))
        if stream not in self.sums:
            return
        self.sums[stream] += len(data)
        if data:
            self.codec.send_data(stream, data)
        if ended:
            self.codec.send_trailers(stream, [(b"x-sum", b"%d" % self.sums[stream])])

    def stream_closed(self, stream, code):
        self.upstream.resets += code == 8
