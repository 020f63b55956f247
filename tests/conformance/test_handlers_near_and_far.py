"""Local = remote: a handler meets the same request and the same client wherever it runs."""

import pytest

from quantum.testing.handler import HANDLER_CHECKS
from tests.integration.quantum.hop.deployment import deployment, install, pair, reach


@pytest.mark.parametrize("check", HANDLER_CHECKS, ids=lambda check: check.__name__)
async def test_in_the_same_process(check):
    async def here(handler):
        return handler

    await check(here)


@pytest.mark.parametrize("listen", ["", "127.0.0.1:0"], ids=["unix", "tcp"])
@pytest.mark.parametrize("check", HANDLER_CHECKS, ids=lambda check: check.__name__)
async def test_through_the_hop(check, listen, tmp_path):
    async with deployment(tmp_path, listen) as made:
        near, far = await pair(made)

        async def there(handler):
            install(far, handler)
            return reach(near)

        await check(there)
