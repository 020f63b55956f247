"""PHP-FPM, Debian's: one pool on a unix socket, with the scripts of ``php/`` under its root."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from quantum.testing.debian import has_program

PROGRAMS = Path("/usr/sbin")
SCRIPTS = Path(__file__).parent / "php"
WORKERS = 3
_CONFIG = """
[global]
error_log = {folder}/fpm.log
daemonize = no
[www]
user = root
group = root
listen = {folder}/fpm.sock
pm = static
pm.max_children = {workers}
security.limit_extensions = {extensions}
php_admin_value[post_max_size] = 64M
php_admin_value[upload_max_filesize] = 64M
"""


def program() -> str | None:
    """Return the server's path, installed if that may be; None where there is none."""
    if not list(PROGRAMS.glob("php-fpm*")):
        has_program("php-fpm", "php-fpm")
    return next((str(path) for path in sorted(PROGRAMS.glob("php-fpm*"))), None)


@contextmanager
def running(folder: Path, extensions: str = ".php") -> Iterator[str]:
    """Yield the dial address of a server whose scripts are in ``folder/site``."""
    path = program()
    assert path is not None
    shutil.copytree(SCRIPTS, folder / "site", dirs_exist_ok=True)
    config = folder / "fpm.conf"
    config.write_text(_CONFIG.format(folder=folder, workers=WORKERS, extensions=extensions or '""'))
    command = [path, "--allow-to-run-as-root", "--fpm-config", str(config), "--nodaemonize"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        sock = folder / "fpm.sock"
        until = time.monotonic() + 20
        while not sock.exists():
            assert process.poll() is None, (folder / "fpm.log").read_text()
            assert time.monotonic() < until
            time.sleep(0.05)
        yield f"unix/{sock}"
    finally:
        process.terminate()
        process.wait(10)
