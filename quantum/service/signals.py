"""What the operating system asks of the process."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import structlog

EXIT_FORCED = 2

STOP = (signal.SIGTERM, signal.SIGINT)
RELOAD = (signal.SIGHUP, signal.SIGUSR1)


class Signals:
    """TERM and INT stop with grace, a second one at once; HUP and USR1 reload; QUIT quits at once."""

    def __init__(
        self,
        on_stop: Callable[[str], None],
        on_reload: Callable[[], None],
        log: structlog.stdlib.BoundLogger,
        quit: Callable[[int], object] = os._exit,
    ) -> None:
        """``quit`` ends the process on the spot; tests hand in another."""
        self._on_stop = on_stop
        self._on_reload = on_reload
        self._log = log
        self._quit = quit
        self._is_stopping = False

    def install(self) -> None:
        """Take the signals of this process."""
        loop = asyncio.get_running_loop()
        for number in (*STOP, *RELOAD, signal.SIGQUIT):
            loop.add_signal_handler(number, self.receive, number)

    def remove(self) -> None:
        """Give them back."""
        loop = asyncio.get_running_loop()
        for number in (*STOP, *RELOAD, signal.SIGQUIT):
            loop.remove_signal_handler(number)

    def receive(self, number: signal.Signals) -> None:
        """Do what signal ``number`` asks."""
        name = signal.Signals(number).name
        if number in RELOAD:
            self._log.info("reload_requested", signal=name)
            self._on_reload()
        elif number == signal.SIGQUIT or self._is_stopping:
            self._log.warning("quit_at_once", signal=name)
            self._quit(EXIT_FORCED)
        else:
            self._is_stopping = True
            self._on_stop(name)
