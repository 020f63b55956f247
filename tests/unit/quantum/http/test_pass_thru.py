"""What a file server with ``pass_thru`` does not find goes to the rest of the chain."""

import pytest

from quantum.errors import HttpError
from quantum.http.message import Response
from quantum.testing.routing import make_compiler, make_request, parse_routes
from services.edge.modules import MODULES
from services.static.manifest import MANIFEST as STATIC


async def ask(error, *, pass_thru, body=b""):
    seen = []

    async def files(request):
        seen.append((request.body, request.headers.get(b"content-length")))
        if error is not None:
            raise HttpError(error)
        return Response(200, None, b"file")

    routes = parse_routes([*MODULES, *STATIC.modules], [
        {"handle": [{"handler": "file_server", "root": "x", "pass_thru": pass_thru}]},
        {"handle": [{"handler": "static_response", "body": "next: {http.request.method}"}]},
    ])  # fmt: skip
    request = make_request("POST", "/", ("Content-Length", "4"), body=body)
    response = await make_compiler({"file_server": files}).compile(routes)(request)
    assert request.body == body
    assert request.headers.get(b"content-length") == b"4"
    return response, seen


async def test_what_is_not_found_goes_on():
    response, _ = await ask(404, pass_thru=True)
    assert response.body == b"next: POST"


async def test_what_is_found_does_not():
    response, _ = await ask(None, pass_thru=True)
    assert response.body == b"file"


async def test_without_the_setting_not_found_is_the_answer():
    with pytest.raises(HttpError, match="404"):
        await ask(404, pass_thru=False)


async def test_other_errors_do_not_go_on():
    with pytest.raises(HttpError, match="403"):
        await ask(403, pass_thru=True)


async def test_the_body_is_kept_for_the_one_who_answers():
    _, seen = await ask(404, pass_thru=True, body=b"data")
    assert seen == [(b"", None)]
