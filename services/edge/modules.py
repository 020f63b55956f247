"""The modules that run in edge: Caddy's matchers and the handlers that need no other room."""

from __future__ import annotations

from quantum.modules.spec import ModuleSpec
from services.edge.specs import folder

_handler = folder("handlers", "http.handlers")
_matcher = folder("matchers", "http.matchers")
_for_answers = folder("proxying", "http.handlers")

MODULES: tuple[ModuleSpec, ...] = (
    _for_answers(
        "copy_response", "CopyResponseConfig", "copying:CopyResponse", "in handle_response: the answer itself"
    ),
    _for_answers(
        "copy_response_headers", "CopyResponseHeadersConfig", "copying:CopyResponseHeaders",
        "in handle_response: fields of the answer",
    ),
    _handler("error", "ErrorConfig", "error:Error", "fails with a status, for the error routes"),
    _handler("headers", "HeadersConfig", "headers:HeaderChanges", "changes fields both ways"),
    _handler(
        "intercept", "InterceptConfig", "intercept:Intercept",
        "another status or other routes for what comes back",
    ),
    _handler("invoke", "InvokeConfig", "subroute:Invoke", "runs a named route of the server"),
    _handler("map", "MapConfig", "map:Map", "placeholders that follow from another's value"),
    folder("push", "http.handlers")(
        "push", "PushConfig", "handler:Push", "preload links and early hints"
    ),
    _handler("rewrite", "RewriteConfig", "rewrite:Rewrite", "changes method and target"),
    _handler(
        "static_response", "StaticResponseConfig", "static_response:StaticResponse",
        "a fixed answer, a redirect, early hints",
    ),
    _handler("subroute", "SubrouteConfig", "subroute:Subroute", "a chain inside a chain"),
    folder("templates", "http.handlers")(
        "templates", "TemplatesConfig", "handler:Templates", "answers are Go templates"
    ),
    folder("tracing", "http.handlers")(
        "tracing", "TracingConfig", "handler:Tracing", "OpenTelemetry spans, W3C trace context"
    ),
    _handler("vars", "VarsConfig", "vars:Vars", "leaves values for later handlers"),
    _matcher("client_ip", "AddressConfig", "address:client_ip", "the client behind trusted proxies"),
    folder("expression", "http.matchers")(
        "expression", "ExpressionConfig", "matcher:expression", "a condition in CEL"
    ),
    _matcher("file", "FileConfig", "file:file", "which of several files is there (try_files)"),
    _matcher("header", "HeaderConfig", "header:header", "values of fields"),
    _matcher(
        "header_regexp", "HeaderRegexpConfig", "regexps:header_regexp", "fields by expression"
    ),
    _matcher("host", "HostConfig", "host:host", "names, with wildcard labels"),
    _matcher("method", "MethodConfig", "request_line:method", "the method"),
    _matcher("not", "NotConfig", "negation:negation", "none of its matcher sets"),
    _matcher("path", "PathConfig", "path:path", "the path: exact, prefix, suffix, part, glob"),
    _matcher("path_regexp", "RegexpConfig", "regexps:path_regexp", "the path by expression"),
    _matcher("protocol", "ProtocolConfig", "request_line:protocol", "scheme, version or gRPC"),
    _matcher("query", "QueryConfig", "query:query", "values in the query"),
    _matcher("remote_ip", "AddressConfig", "address:remote_ip", "the peer of the connection"),
    _matcher("tls", "TlsConfig", "request_line:tls", "whether it came over TLS"),
    folder("url_pattern", "http.matchers")(
        "url_pattern", "UrlPatternConfig", "matcher:url_pattern", "WHATWG URL patterns"
    ),
    _matcher("vars", "VarsConfig", "variables:variables", "variables and placeholders"),
    _matcher(
        "vars_regexp", "VarsRegexpConfig", "regexps:vars_regexp", "variables by expression"
    ),
)  # fmt: skip
"""In the order of the generated documentation."""
