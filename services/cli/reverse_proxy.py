"""``quantum reverse-proxy``: pass requests on from one address to others."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from quantum.caddyfile.errors import CaddyfileError
from quantum.caddyfile.modules.upstreams.addresses import Upstream, parse_upstream
from quantum.caddyfile.sites.site import Address, parse_address
from quantum.errors import ConfigError
from services.cli.flags import Help
from services.cli.quick import add_quick_flags, document, grouped, header_field, run

ALL_ROOMS = {"edge", "proxy", "health"}
ITS_ADDRESS = "{http.reverse_proxy.upstream.hostport}"

EXAMPLES = """\
examples:
  quantum reverse-proxy --to :9000                                 https://localhost -> :9000
  quantum reverse-proxy --from :8080 --to :9000 --to :9001         plain HTTP, two upstreams
  quantum reverse-proxy --from example.com --to https://10.0.0.7 --change-host-header
  quantum reverse-proxy --from :8080 --to :9000 -H "X-Who: quantum" --header-down=-Server:

A field with "+" before its name is added, one with "-" is taken out. Without a port --from is HTTPS
if it has a host; the certificate of a name that is not public is a local authority's.
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.epilog, parser.formatter_class = EXAMPLES, Help
    parser.add_argument("-f", "--from", dest="source", metavar="ADDR", default="localhost")
    parser.add_argument("-t", "--to", metavar="ADDR", action="append", default=[], help="upstreams")
    parser.add_argument(
        "-c", "--change-host-header", action="store_true", help="Host is the upstream's address"
    )
    parser.add_argument(
        "--insecure", action="store_true", help="take any certificate of upstreams: no security"
    )
    parser.add_argument(
        "-i", "--internal-certs", action="store_true", help="a local authority's certificate"
    )
    parser.add_argument(
        "-r", "--disable-redirects", action="store_true", help="leave the HTTP port alone"
    )
    for names, what in ((("-H", "--header-up"), "request"), (("-d", "--header-down"), "response")):
        parser.add_argument(
            *names, metavar='"Field: value"', action="append", default=[], type=header_field,
            help=f"a field of the {what}",
        )  # fmt: skip
    add_quick_flags(parser)


def execute(args: argparse.Namespace) -> int:
    """Proxy until stopped."""
    try:
        source = parse_address(args.source)
        upstreams = [parse_upstream(text) for text in args.to]
        dials = [dial for upstream in upstreams for dial in upstream.expand()]
    except CaddyfileError as error:
        raise ConfigError("", str(error.problem)) from error
    if not dials:
        raise ConfigError("", "there is nowhere to send requests", "give --to ADDR")
    if source.path:
        raise ConfigError("", "paths are not allowed", f"--from {args.source}")
    made = _document(args, source, upstreams, dials)
    rooms = ALL_ROOMS if is_plain(source) else ALL_ROOMS | {"certs"}

    def announce() -> None:
        print(f"quantum: proxying {args.source} -> {', '.join(dials)}", file=sys.stderr)

    return run(args, made, rooms, announce)


def is_plain(source: Address) -> bool:
    """Whether it is served without TLS."""
    return source.scheme == "http" or (not source.host and source.scheme != "https")


def _document(
    args: argparse.Namespace, source: Address, upstreams: list[Upstream], dials: list[str]
) -> dict[str, Any]:
    port = source.port or ("80" if is_plain(source) else "443")
    route: dict[str, Any] = {"handle": [_handler(args, upstreams, dials)]}
    if source.host:
        route["match"] = [{"host": [source.host]}]
    server: dict[str, Any] = {"listen": [f":{port}"], "routes": [route]}
    if is_plain(source):
        server["automatic_https"] = {"disable": True}
    elif args.disable_redirects:
        server["automatic_https"] = {"disable_redirects": True}
    apps = {}
    if args.internal_certs:
        policy: dict[str, Any] = {"issuers": [{"module": "internal"}]}
        if source.host:
            policy["subjects"] = [source.host]
        apps["tls"] = {"automation": {"policies": [policy]}}
    return document(args, {"servers": {"proxy": server}}, **apps)


def _handler(
    args: argparse.Namespace, upstreams: list[Upstream], dials: list[str]
) -> dict[str, Any]:
    handler: dict[str, Any] = {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": dial} for dial in dials],
    }
    schemes = {upstream.scheme for upstream in upstreams}
    if len(schemes) > 1:
        raise ConfigError("", "--to: either all upstreams are https:// or none is")
    if schemes == {"https"}:
        tls = {"insecure_skip_verify": True} if args.insecure else {}
        handler["transport"] = {"protocol": "http", "tls": tls}
    elif schemes == {"h2c"}:
        handler["transport"] = {"protocol": "http", "versions": ["h2c", "2"]}
    up = [*args.header_up, *([("Host", ITS_ADDRESS)] if args.change_host_header else [])]
    headers = {
        "request": _operations(up),
        "response": _operations(args.header_down),
    }
    handler["headers"] = {what: made for what, made in headers.items() if made}
    return handler


def _operations(fields: list[tuple[str, str]]) -> dict[str, Any]:
    """Return what is added, set and deleted: "+" and "-" before a name say so."""
    groups = {
        "add": grouped([(name[1:], value) for name, value in fields if name.startswith("+")]),
        "set": grouped([field for field in fields if field[0][0] not in "+-"]),
        "delete": [name[1:] for name, _ in fields if name.startswith("-")],
    }
    return {what: made for what, made in groups.items() if made}
