"""From an exception to an answer: the one place that decides what a client learns of a failure.

A client is told a status and nothing else. What went wrong is for the log (with the request's id)
and for the placeholders ``{http.error.*}`` of error routes. Caddy's rules: a bare status has an
empty body, and response fields that were set before the failure stay on the answer.
"""

from __future__ import annotations

import secrets
from http import HTTPStatus

import structlog

from quantum.errors import BodyAborted, BusUnavailable, ClientGone, HttpError
from quantum.http.headers import Headers
from quantum.http.message import Request, Response

CLIENT_CLOSED_REQUEST = 499
"""What the log calls a request whose client left (nginx's number, which Caddy took over)."""

_log = structlog.get_logger("quantum.http")
_TEXTS = {status.value: status.phrase for status in HTTPStatus}


def status_text(status: int) -> str:
    """Return the registered phrase of ``status``, "" for one that has none."""
    return _TEXTS.get(status, "")


def status_of(error: BaseException) -> int:
    """Return the status that ``error`` means: 499 client gone, 504 time, 503 bus away, else 500."""
    if isinstance(error, HttpError):
        return error.status
    if isinstance(error, ClientGone | BodyAborted):
        return CLIENT_CLOSED_REQUEST
    if isinstance(error, TimeoutError):
        return 504
    if isinstance(error, BusUnavailable):
        return 503
    return 500


def response_of(error: Exception, request: Request) -> Response:
    """Log ``error`` once and return the answer; never raises.

    A client that left, or broke the body it was sending, gets no answer: ``abort`` is set. The
    fields of an HttpError are kept; a field set for the response earlier gives way to them.
    """
    status = status_of(error)
    log_failure(error, status, request)
    if status == CLIENT_CLOSED_REQUEST:
        return Response(status, abort=True)
    headers = Headers()
    if request.response_fields is not None:
        headers.extend(request.response_fields.fields)
    if isinstance(error, HttpError):
        for name, _ in error.headers:
            headers.remove(name)
        headers.extend(error.headers)
    return Response(status, headers)


def log_failure(error: BaseException, status: int, request: Request) -> None:
    """Log a failed request: 5xx as an error, what the client did as debug, a defect with its stack."""
    facts = {
        "request_id": request.id,
        "method": request.method,
        "host": request.authority,
        "path": request.path,
        "status": status,
    }
    if isinstance(error, HttpError):
        facts["reason"] = error.reason
        (_log.error if status >= 500 else _log.debug)("request_failed", **facts)
    elif status == CLIENT_CLOSED_REQUEST:
        _log.debug("client_left", **facts)
    elif status == 500:
        _log.error("request_crashed", exc_info=error, **facts)
    else:
        _log.error("request_failed", reason=str(error) or type(error).__name__, **facts)


def describe(error: Exception, request: Request) -> int:
    """Set the placeholders ``{http.error.*}`` for the error routes; return the status.

    Raises ``error`` again when nobody is there to be answered (the client is gone).
    """
    status = status_of(error)
    if status == CLIENT_CLOSED_REQUEST:
        raise error
    reason = error.reason if isinstance(error, HttpError) else status_text(status)
    error_id = secrets.token_hex(5)
    text = f"{{id={error_id}}}: HTTP {status}" + (f": {reason}" if reason else "")
    request.vars.update({
        "http.error": text,
        "http.error.status_code": status,
        "http.error.status_text": status_text(status),
        "http.error.message": reason,
        "http.error.trace": "",
        "http.error.id": error_id,
    })  # fmt: skip
    return status


def failed_status(request: Request) -> int | None:
    """Return the status of the error whose routes handle ``request``; None on the primary chain."""
    if not request.has_vars:
        return None
    status: int | None = request.vars.get("http.error.status_code")
    return status
