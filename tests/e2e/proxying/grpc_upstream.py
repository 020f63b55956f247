"""A real gRPC server without generated code: messages are bytes."""

import threading
import time
from concurrent import futures

import grpc

SERVICE = "quantum.test.Talk"


class GrpcUpstream:
    """Every kind of call; notes what became of those that were given up."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        self.seen_metadata: dict[str, str] = {}
        self.server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
        kinds = {
            "Echo": grpc.unary_unary_rpc_method_handler(self.echo),
            "Fail": grpc.unary_unary_rpc_method_handler(self.fail),
            "Count": grpc.unary_stream_rpc_method_handler(self.count),
            "Sum": grpc.stream_unary_rpc_method_handler(self.sum),
            "Chat": grpc.stream_stream_rpc_method_handler(self.chat),
            "Hang": grpc.unary_stream_rpc_method_handler(self.hang),
        }
        self.server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(SERVICE, kinds),)
        )
        self.dial = f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"
        self.server.start()

    def echo(self, message, context):
        self.seen_metadata = {k: v for k, v in context.invocation_metadata() if isinstance(v, str)}
        context.send_initial_metadata((("first", "head"),))
        context.set_trailing_metadata((("last", "trailer"), ("raw-bin", b"\x00\xff")))
        return message

    def fail(self, message, context):
        context.set_trailing_metadata((("why", "because"),))
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not in this state: ü")

    def count(self, message, context):
        for number in range(int(message)):
            yield str(number).encode()

    def sum(self, messages, context):
        return str(sum(len(message) for message in messages)).encode()

    def chat(self, messages, context):
        for message in messages:
            yield b"re: " + message

    def hang(self, message, context):
        context.add_callback(self.cancelled.set)
        yield b"begun"
        while context.is_active():
            time.sleep(0.02)

    def close(self) -> None:
        self.server.stop(0).wait()
