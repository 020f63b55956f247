"""What the room does not load until a configuration asks for it."""

import subprocess
import sys


def test_a_proxy_of_plain_upstreams_loads_neither_quic_nor_dns():
    code = (
        "import sys, services.proxy.service, services.proxy.handler, services.proxy.transports.http;"
        "print([m for m in ('aioquic', 'dns', 'cryptography') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
