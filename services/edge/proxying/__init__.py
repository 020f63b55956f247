"""What edge does for a proxy that another room runs: matchers before it, routes after it.

What lives here: ``rewrite``, ``retry_match`` and ``handle_response`` of ``reverse_proxy``, and the
handlers that exist only in the routes of ``handle_response``. What does not: talking to upstreams.
"""
