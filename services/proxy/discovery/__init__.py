"""Upstreams that a configuration does not list: found in DNS, or named by the request.

What lives here: the sources (``http.reverse_proxy.upstreams.*``), their resolver, and who is a member of
a handler's roster for how long. What does not: whether a member is healthy, and who is chosen.
"""
