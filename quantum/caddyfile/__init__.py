"""Caddyfile in, Caddy's JSON out: what ``caddy adapt`` gives, key for key.

What lives here: the language (``language/``), what its words mean (``directives/``, ``options/``,
``modules/``), how sites become servers (``sites/``), and Go's ways of writing values (``values/``).
What does not: whether the outcome can be run. Loading the JSON tells that, as for any other JSON.
"""
