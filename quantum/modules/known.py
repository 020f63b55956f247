"""Every module id of Caddy's standard build, so that "not built yet" can be told from a typing error."""

from __future__ import annotations


def _ids(namespace: str, names: str) -> set[str]:
    return {f"{namespace}.{name}" if namespace else name for name in names.split()}


KNOWN_TO_CADDY = frozenset(
    _ids("", "events http pki tls caddy.filesystems")
    | _ids("admin.api", "load metrics pki reverse_proxy")
    | _ids("caddy.config_loaders", "http")
    | _ids("caddy.listeners", "http_redirect proxy_protocol tls")
    | _ids("caddy.logging.cores", "mock")
    | _ids("caddy.logging.encoders", "append console filter journald json")
    | _ids(
        "caddy.logging.encoders.filter",
        "cookie delete hash ip_mask multi_regexp query regexp rename replace set_cookie",
    )
    | _ids("caddy.logging.writers", "discard file net stderr stdout")
    | _ids("caddy.network_proxy", "none url")
    | _ids("caddy.storage", "file_system")
    | _ids("http.authentication.hashes", "argon2id bcrypt")
    | _ids("http.authentication.providers", "http_basic")
    | _ids("http.encoders", "gzip zstd")
    | _ids(
        "http.handlers",
        "acme_server authentication copy_response copy_response_headers encode error file_server "
        "headers intercept invoke log_append map metrics push request_body reverse_proxy rewrite "
        "static_response subroute templates timeouts tracing vars",
    )
    | _ids("http.ip_sources", "static")
    | _ids(
        "http.matchers",
        "client_ip expression file header header_regexp host method not path path_regexp protocol "
        "query remote_ip tls url_pattern vars vars_regexp",
    )
    | _ids("http.precompressed", "br gzip zstd")
    | _ids(
        "http.reverse_proxy.selection_policies",
        "client_ip_hash cookie first header ip_hash least_conn query random random_choose "
        "round_robin uri_hash weighted_round_robin",
    )
    | _ids("http.reverse_proxy.transport", "fastcgi http")
    | _ids("http.reverse_proxy.upstreams", "a multi srv")
    | _ids(
        "tls.ca_pool.source", "combined file http inline pki_intermediate pki_root storage system"
    )
    | _ids("tls.certificates", "automate load_files load_folders load_pem load_storage")
    | _ids("tls.client_auth.verifier", "leaf")
    | _ids("tls.get_certificate", "http tailscale")
    | _ids("tls.handshake_match", "local_ip remote_ip sni sni_regexp")
    | _ids("tls.issuance", "acme internal zerossl")
    | _ids("tls.leaf_cert_loader", "file folder pem storage")
    | _ids("tls.permission", "http")
    | _ids("tls.stek", "distributed standard")
)
