"""A small backend for the demo: says who it is, answers health checks, echoes over a WebSocket.

    python config/demo/upstream.py --port 9001 --name 1

It ends with the process that started it: standard input, a pipe from that process, comes to its end
then. Started by hand in a terminal it runs until Ctrl-C.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys

from aiohttp import WSMsgType, web

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Upstream {name}</title>
<style>body{{font:1.1rem/1.6 system-ui;margin:3rem auto;max-width:40rem;padding:0 1rem}}</style>
<h1>Upstream {name}</h1><p>Reload: the next request goes to the other one.</p>
<p>You came from <code>{client}</code> to <code>{host}</code>, and asked for <code>{path}</code>.</p>
</html>
"""


def make_app(name: str) -> web.Application:
    """Return the application of one upstream."""

    async def page(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await echo(request)
        client = request.headers.get("X-Forwarded-For", request.remote or "?")
        if "text/html" in request.headers.get("Accept", ""):
            text = PAGE.format(
                name=escape(name), client=escape(client), host=escape(request.host),
                path=escape(request.path_qs),
            )  # fmt: skip
            return web.Response(text=text, content_type="text/html")
        return web.Response(
            text=f"upstream {name}: {request.method} {request.path_qs} from {client}\n"
        )

    async def health(request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    app = web.Application()
    app.router.add_get("/health", health)
    app.router.add_route("*", "/{path:.*}", page)
    return app


async def echo(request: web.Request) -> web.WebSocketResponse:
    """Send back what comes."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data)
    return socket


def escape(text: str) -> str:
    """Make text safe inside HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")


async def serve(host: str, port: int, name: str) -> None:
    """Serve until told to stop."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if not os.isatty(sys.stdin.fileno()):
        with contextlib.suppress(
            PermissionError, ValueError
        ):  # a file or /dev/null: nothing to wait for
            loop.add_reader(sys.stdin.fileno(), lambda: os.read(0, 1024) or stop.set())
    runner = web.AppRunner(make_app(name), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    await stop.wait()
    await runner.cleanup()


def main() -> None:
    """Read the flags and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--name", required=True)
    args = parser.parse_args()
    try:
        asyncio.run(serve(args.host, args.port, args.name))
    except OSError as error:
        sys.exit(f"upstream {args.name}: {error}")


if __name__ == "__main__":
    main()
