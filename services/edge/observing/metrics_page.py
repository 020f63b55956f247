"""``http.handlers.metrics``: the metrics of this process as a page.

The endpoint for operators is ``--ops``; this one stands among routes, so guard it by matchers or
``authentication``. With ``--workers`` it shows the process that answers; ``--ops`` adds them up.
"""

from __future__ import annotations

import asyncio

from prometheus_client.exposition import choose_encoder

from quantum.http.handler import Next
from quantum.http.headers import Headers
from quantum.http.message import Request, Response
from quantum.http.response_fields import early_fields, replacing
from quantum.modules.lifetime import Provision
from services.edge.observing.config import MetricsConfig


class MetricsPage:
    """Answers with all metrics, in Prometheus's or OpenMetrics' format, as asked."""

    def __init__(self, config: MetricsConfig, provision: Provision) -> None:
        self._registry = provision.metrics
        self._only_plain = config.disable_openmetrics

    def link(self, following: Next) -> Next:
        """Return the link; nothing follows it."""
        return self._answer

    async def _answer(self, request: Request) -> Response:
        encode, content_type = choose_encoder("")
        if not self._only_plain:
            accept = (request.headers.joined(b"accept") or b"").decode("latin-1")
            encode, content_type = choose_encoder(accept)
        page = await asyncio.to_thread(encode, self._registry)  # a large page takes a while
        own = Headers([(b"content-type", content_type.encode())])
        return Response(200, replacing(early_fields(request), own), page)
