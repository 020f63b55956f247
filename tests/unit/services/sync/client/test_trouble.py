"""A server that cannot be asked is told about in words that lead somewhere."""

import errno
import ssl

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from services.sync.client.remote.trouble import why

KEY = ConnectionKey("files.example", 8443, True, True, None, None, None)
REFUSED = OSError(errno.ECONNREFUSED, "Connect call failed")
NO_TLS = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (aiohttp.ClientConnectorError(KEY, REFUSED), "nothing listens on port 8443"),
        (aiohttp.ClientConnectorSSLError(KEY, NO_TLS), "a server without TLS is http://"),
        (
            aiohttp.ClientConnectorCertificateError(KEY, ssl.SSLCertVerificationError("not ours")),
            "name the authority that signed it in SSL_CERT_FILE",
        ),
        (aiohttp.ClientConnectorDNSError(KEY, OSError("?")), "no such host: files.example"),
        (TimeoutError(), "no answer in time"),
        (aiohttp.ServerDisconnectedError(), "Server disconnected"),
    ],
)
def test_an_error_is_told_in_words_that_lead_somewhere(error, said):
    assert said in why(error)
