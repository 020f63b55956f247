"""Directives that are a proxy and some routes: php_fastcgi and forward_auth."""

from __future__ import annotations

from typing import Any

from quantum.caddyfile.context import Context, make_route
from quantum.caddyfile.directives.proxying import ReverseProxy
from quantum.caddyfile.errors import CaddyfileError
from quantum.caddyfile.language.dispenser import Dispenser
from quantum.caddyfile.modules.headers import canonical
from quantum.caddyfile.modules.upstreams.transports import apply_fastcgi
from quantum.caddyfile.routes import Route, Subroute, Value
from quantum.caddyfile.values.encoding import compact, module

REDIRECT = "{http.request.orig_uri.path}/{http.request.orig_uri.prefixed_query}"


class Php:
    """What ``php_fastcgi`` has beyond ``reverse_proxy``."""

    def __init__(self) -> None:
        self.transport: dict[str, Any] = {}
        self.extensions = [".php"]
        self.index = "index.php"
        self.try_files: list[str] = []

    def takes(self, d: Dispenser, word: str) -> bool:
        """Read one of these words; return whether it is one."""
        if word == "split":
            self.extensions = d.some()
        elif word == "index":
            self.index = d.only()
        elif word == "try_files":
            self.try_files = d.some()
        else:
            return apply_fastcgi(d, word, self.transport)
        return True

    def routes(self) -> list[Route]:
        """Return the routes before the proxy: to the canonical path, and to the script."""
        if self.index == "off":
            return []
        in_folder = "{http.request.uri.path}/" + self.index
        files, policy = self.try_files, "first_exist_fallback"
        redirects = not files or in_folder in files
        if not files:
            files = ["{http.request.uri.path}", in_folder, self.index]
        elif not files[-1].endswith(".php"):
            policy = ""
        found = []
        if redirects:
            match = {"file": {"try_files": [in_folder]}, "not": [{"path": ["*/"]}]}
            handler = {"status_code": 308, "headers": {"Location": [REDIRECT]}}
            found.append(make_route(match, "static_response", handler))
        file = compact(try_files=files, try_policy=policy, split_path=self.extensions)
        rewrite = {"uri": "{http.matchers.file.relative}"}
        found.append(make_route({"file": file}, "rewrite", rewrite))
        return found


def php_fastcgi(context: Context) -> list[Value]:
    """``php_fastcgi [<matcher>] <gateways…> { … }``."""
    if not context.d.next():
        raise context.d.arg_error()
    match = context.take_matcher()
    php = Php()
    proxy = ReverseProxy(context, php.takes)
    proxy.made["transport"] = {}
    made = proxy.read()
    transport = {**php.transport, "split_path": php.extensions}
    made["transport"] = module(transport, "protocol", "fastcgi")
    paths = {"path": ["*" + extension for extension in php.extensions]}
    subroute = Subroute([*php.routes(), make_route(paths, "reverse_proxy", made)])
    if match is not None:
        return [Value("route", Route([match], [subroute.handler()]))]
    return [Value("route", subroute)]


def forward_auth(context: Context) -> list[Value]:
    """``forward_auth [<matcher>] <upstreams…> { uri, copy_headers, … }``."""
    if not context.d.next():
        raise context.d.arg_error()
    match = context.take_matcher()
    copied: dict[str, str] = {}

    def takes(d: Dispenser, word: str) -> bool:
        if word == "uri":
            proxy.made["rewrite"]["uri"] = d.arg()
        elif word == "copy_headers":
            names = [*d.rest(), *d.block()]
            for name in names:
                old, arrow, new = name.partition(">")
                copied[old] = new.partition(">")[0] if arrow else name
            if not copied:
                raise d.arg_error()
        else:
            return False
        return True

    proxy = ReverseProxy(context, takes)
    proxy.request.set = {
        "X-Forwarded-Method": ["{http.request.method}"],
        "X-Forwarded-Uri": ["{http.request.uri}"],
    }
    proxy.made["rewrite"] = {"method": "GET"}
    good: dict[str, Any] = {"match": {"status_code": [2]}}
    proxy.responses.found.append(good)
    made = proxy.read()
    if not made["rewrite"].get("uri"):
        raise CaddyfileError("the 'uri' subdirective is required, at :0")
    routes = [make_route(None, "vars", {})]
    for name in sorted(copied):
        routes += _copying(name, copied[name])
    good["routes"] = [route.to_json() for route in routes]
    return [Value("route", make_route(match, "reverse_proxy", made))]


def _copying(name: str, target: str) -> list[Route]:
    """Return the routes that replace a header of the request by one of the answer."""
    value = f"{{http.reverse_proxy.header.{canonical(name)}}}"
    delete = {"request": {"delete": [canonical(target)]}}
    setting = {"request": {"set": {canonical(target): [value]}}}
    return [
        make_route(None, "headers", delete),
        make_route({"not": [{"vars": {value: [""]}}]}, "headers", setting),
    ]
