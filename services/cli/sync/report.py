"""What ``quantum sync`` tells: progress on terminals, plain lines elsewhere, errors with remedies."""

from __future__ import annotations

import logging
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from services.cli.flags import EXIT_FAILED, EXIT_OK
from services.cli.sync.command import EXIT_BLOCKED, EXIT_HELD, EXIT_LOST
from services.sync.client.disk.folder import FolderLost
from services.sync.client.opened import FolderInUse, OtherShare
from services.sync.client.planning.actions import Action, Kind, Plan
from services.sync.client.progress import Outcome, Progress, Silent
from services.sync.client.remote.api import Offline, RemoteError, Unauthorized
from services.sync.client.rounds import DeletionsHeld
from services.sync.client.state import StateBroken

LONGEST_LIST = 20
"""Paths printed of each kind; `quantum sync status` has all of them."""

_REMEDIES: tuple[tuple[type[Exception], int, str], ...] = (
    (Unauthorized, EXIT_FAILED, "give a valid --token or QUANTUM_TOKEN"),
    (Offline, EXIT_FAILED, "check --server and the network; nothing is lost, run it again"),
    (DeletionsHeld, EXIT_HELD, "look with --dry-run; if it is meant, add --confirm-deletes"),
    (FolderLost, EXIT_LOST, "mount it or give the right --local-path; nothing was deleted"),
    (FolderInUse, EXIT_FAILED, "stop the other client"),
    (OtherShare, EXIT_FAILED, "give that --server, or remove .quantum/client.db to compare anew"),
    (StateBroken, EXIT_FAILED, "nothing was changed"),
    (sqlite3.DatabaseError, EXIT_FAILED, "remove .quantum/client.db to compare anew; nothing is deleted"),
    (RemoteError, EXIT_FAILED, "see the server's log"),
    (OSError, EXIT_FAILED, "check the folder's permissions and free space"),
)  # fmt: skip


def explain(error: Exception) -> tuple[int, str, str] | None:
    """Return (exit code, problem, remedy) of an expected error, None for any other."""
    for kind, code, remedy in _REMEDIES:
        if isinstance(error, kind):
            return code, str(error) or type(error).__name__, remedy
    return None


def configure(*, is_verbose: bool) -> None:
    """Send the client's log to standard error: warnings, or everything. Only who follows logs."""
    import structlog  # late: with what it brings along it is a third of a short sync's start

    level = logging.INFO if is_verbose else logging.WARNING
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper("iso"),
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def show_plan(plan: Plan) -> int:
    """Print what would be done."""
    for action in plan.actions:
        print(f"{action}  [{action.rule}]")
    for path, reason in sorted(plan.held.items()):
        print(f"leave: {path}  [{reason}]")
    print(_steps(len(plan.actions)) if plan else "nothing to do")
    return EXIT_OK


def _steps(count: int) -> str:
    return "1 step" if count == 1 else f"{count} steps"


def report(outcome: Outcome) -> None:
    """Tell of a sync that did something, and of what it could not do."""
    if outcome.done:
        print(f"synced: {_steps(outcome.done)}", file=sys.stderr)
    for path in outcome.conflicts:
        print(f"conflict copy: {path}", file=sys.stderr)
    _show("cannot be synced", outcome.blocked)


def finish(outcome: Outcome) -> int:
    """Tell how a single sync ended; return the exit code."""
    report(outcome)
    unread = {path: why for path, why in outcome.unknown.items() if path not in outcome.skipped}
    _show("cannot be read", unread)
    _show("does not take part", outcome.skipped)
    _show("left alone", outcome.held)
    return EXIT_OK if outcome.is_clean else EXIT_BLOCKED


def _show(what: str, paths: dict[str, str]) -> None:
    for path, reason in sorted(paths.items())[:LONGEST_LIST]:
        print(f"{what}: {path}: {reason}", file=sys.stderr)
    if len(paths) > LONGEST_LIST:
        print(f"{what}: {len(paths) - LONGEST_LIST} more", file=sys.stderr)


@contextmanager
def progress_on(stream: TextIO, *, is_verbose: bool) -> Iterator[Progress]:
    """Yield what shows the work: bars on a terminal, lines when asked for, else nothing."""
    if is_verbose:
        yield Lines(stream)
    elif stream.isatty():
        with _make_bars(stream) as bars:
            yield Bar(bars)
    else:
        yield Silent()


def _make_bars(stream: TextIO) -> Any:
    """Return rich's display; what speaks of bytes is left out while none travel."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import (
        Progress as Bars,
    )

    class WhileMoving(ProgressColumn):
        def __init__(self, column: ProgressColumn) -> None:
            super().__init__()
            self._column = column

        def render(self, task: Task) -> Any:
            return self._column.render(task) if task.fields["is_moving"] else ""

    return Bars(
        TextColumn("{task.description}"), BarColumn(), WhileMoving(DownloadColumn()),
        WhileMoving(TransferSpeedColumn()), WhileMoving(TimeRemainingColumn()),
        console=Console(file=stream), transient=True,
    )  # fmt: skip


class Lines:
    """Tells of every step in a line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def planned(self, plan: Plan) -> None:
        """Tell how much is to do."""
        print(f"{len(plan.actions)} steps to do", file=self._stream)

    def moved_bytes(self, count: int) -> None:
        """Ignore."""

    def spared_bytes(self, count: int) -> None:
        """Tell what did not travel."""
        print(f"{count} bytes were there already", file=self._stream)

    def did(self, action: Action) -> None:
        """Tell what was done, and why."""
        print(f"{action}  [{action.rule}]", file=self._stream)

    def failed(self, action: Action, problem: str) -> None:
        """Tell what was not possible."""
        print(f"{action}: {problem}", file=self._stream)


class Bar:
    """Shows steps; and bytes, rate and the time that is left as soon as bytes travel."""

    def __init__(self, bars: Any) -> None:
        self._bars = bars
        self._task = bars.add_task("looking", total=None, is_moving=False)
        self._is_moving = False
        self._bytes = 0

    def planned(self, plan: Plan) -> None:
        """Begin the bar of a round."""
        transfers = [a.node for a in plan.transfers if a.kind in {Kind.UPLOAD, Kind.DOWNLOAD}]
        self._bytes = sum(node.size for node in transfers if node is not None)
        self._is_moving = False
        steps = len(plan.actions)
        said = "1 step" if steps == 1 else f"{steps} steps"
        self._bars.reset(self._task, total=steps, description=said, is_moving=False)

    def moved_bytes(self, count: int) -> None:
        """Move the bar, which is one of bytes from now on."""
        if not self._is_moving:
            self._is_moving = True
            self._bars.reset(self._task, total=self._bytes, is_moving=True)
        self._bars.update(self._task, advance=count)

    def spared_bytes(self, count: int) -> None:
        """Take what need not travel out of the sum: the time that is left is that of the rest."""
        self._bytes = max(0, self._bytes - count)
        if self._is_moving:
            self._bars.update(self._task, total=self._bytes)

    def did(self, action: Action) -> None:
        """Show the step; it moves the bar while no bytes do."""
        advance = 0 if self._is_moving else 1
        self._bars.update(self._task, description=action.kind.value, advance=advance)

    def failed(self, action: Action, problem: str) -> None:
        """Say it above the bar."""
        self._bars.console.print(f"{action}: {problem}", markup=False)
