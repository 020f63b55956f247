"""``{path}`` for ``{http.request.uri.path}``: the short names of placeholders, replaced in a segment."""

from __future__ import annotations

import re

from quantum.caddyfile.language.tokens import Segment

REQUEST = {
    "host": "host",
    "hostport": "hostport",
    "port": "port",
    "orig_method": "orig_method",
    "orig_uri": "orig_uri",
    "orig_path": "orig_uri.path",
    "orig_dir": "orig_uri.path.dir",
    "orig_file": "orig_uri.path.file",
    "orig_query": "orig_uri.query",
    "orig_?query": "orig_uri.prefixed_query",
    "method": "method",
    "uri": "uri",
    "%uri": "uri_escaped",
    "path": "uri.path",
    "%path": "uri.path_escaped",
    "dir": "uri.path.dir",
    "file": "uri.path.file",
    "query": "uri.query",
    "%query": "uri.query_escaped",
    "?query": "uri.prefixed_query",
    "remote": "remote",
    "remote_host": "remote.host",
    "remote_port": "remote.port",
    "scheme": "scheme",
    "uuid": "uuid",
    "tls_cipher": "tls.cipher_suite",
    "tls_version": "tls.version",
    "tls_client_fingerprint": "tls.client.fingerprint",
    "tls_client_issuer": "tls.client.issuer",
    "tls_client_serial": "tls.client.serial",
    "tls_client_subject": "tls.client.subject",
    "tls_client_certificate_pem": "tls.client.certificate_pem",
    "tls_client_certificate_der_base64": "tls.client.certificate_der_base64",
}
"""Short names of what a request has, without ``http.request.``."""

WHOLE = {f"{{{short}}}": f"{{http.request.{long}}}" for short, long in REQUEST.items()} | {
    "{upstream_hostport}": "{http.reverse_proxy.upstream.hostport}",
    "{client_ip}": "{http.vars.client_ip}",
}
FAMILIES = {
    "header": "http.request.header",
    "cookie": "http.request.cookie",
    "labels": "http.request.host.labels",
    "path": "http.request.uri.path",
    "file": "http.request.uri.path.file",
    "query": "http.request.uri.query",
    "re": "http.regexp",
    "vars": "http.vars",
    "rp": "http.reverse_proxy",
    "resp": "http.intercept",
    "err": "http.error",
    "file_match": "http.matchers.file",
}
DOTTED = ("re", "rp", "resp", "err")
"""Families whose names may hold dots."""

SHORT = re.compile("|".join(re.escape(name) for name in WHOLE))
FAMILY = re.compile(
    r"\{(?:(" + "|".join(DOTTED) + r")\.([A-Za-z0-9_.-]*)|"
    r"(" + "|".join(name for name in FAMILIES if name not in DOTTED) + r")\.([A-Za-z0-9_-]*))\}"
)


def lengthen(text: str) -> str:
    """Return ``text`` with short names replaced by the long ones."""
    if "{" not in text:
        return text
    text = SHORT.sub(lambda found: WHOLE[found[0]], text)
    return FAMILY.sub(_family, text)


def _family(found: re.Match[str]) -> str:
    name, rest = (found[1], found[2]) if found[1] else (found[3], found[4])
    return f"{{{FAMILIES[name]}.{rest}}}"


def lengthen_segment(segment: Segment) -> Segment:
    """Return the segment with the short names of its tokens replaced."""
    return [token.but(lengthen(token.text)) for token in segment]
