"""Both ways to listen."""

import pytest


@pytest.fixture(params=["unix", "tcp"])
def listen(request):
    return "" if request.param == "unix" else "127.0.0.1:0"
