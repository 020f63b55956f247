"""``http.handlers.tracing``: a span for each request, known to the services before and behind (W3C Trace Context).

``context`` reads and writes ``traceparent``, ``settings`` reads OpenTelemetry's environment, ``exporter`` sends spans
(OTLP) from a thread, ``handler`` is the middleware.
"""
