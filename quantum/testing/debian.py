"""Real peers from Debian's packages: installed when a test first asks for one and may install it."""

from __future__ import annotations

import os
import shutil
import subprocess

INSTALL_SECONDS = 300.0
"""A large package on a slow mirror; what takes longer is not coming."""


def has_program(program: str, package: str) -> bool:
    """Return whether ``program`` can be run, after an attempt to install ``package`` if it cannot.

    Installing needs apt and root; without them the answer is what the machine has already.
    """
    if shutil.which(program) is None and shutil.which("apt-get") and os.geteuid() == 0:
        environment = {**_environment(), "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update", "-qq"], ["install", "-y", "-qq", package]):
            subprocess.run(  # noqa: S603
                ["apt-get", *command],  # noqa: S607
                env=environment,
                capture_output=True,
                timeout=INSTALL_SECONDS,
                check=False,
            )
    return shutil.which(program) is not None


def _environment() -> dict[str, str]:
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
