"""What routes tell whoever watches: ``log_append`` for the access log, ``metrics`` as a page.

What lives here: these two handlers. What does not: counting requests (``services/edge/metrics.py``),
the access log (``quantum/telemetry/access.py``), the ops endpoint (``quantum/service/ops.py``).
"""
