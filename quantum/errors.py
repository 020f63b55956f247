"""The exceptions that cross module borders. Everything else is raised and caught in one file."""

from __future__ import annotations

import errno
import os
import ssl

_REMEDIES = {
    errno.ENOENT: "check the path; a relative one starts at the working directory",
    errno.EACCES: "give the user this program runs as the right to it, or choose another path",
    errno.EROFS: "choose a path that can be written",
    errno.ENOTDIR: "a part of the path is no folder",
    errno.EISDIR: "name a file, not a folder",
    errno.ENOSPC: "make room on that disk, or choose another path",
    errno.EDQUOT: "make room on that disk, or choose another path",
    errno.EMFILE: "raise the limit of open files (ulimit -n, LimitNOFILE)",
}
"""What to do about what an operating system says about files, for people who do not know errno."""


class QuantumError(Exception):
    """The root of every error this program raises on purpose."""


class ConfigError(QuantumError):
    """A configuration that cannot be used; the one in force stays untouched.

    ``path`` is the JSON path of the offending value (``apps.http.servers.srv0.listen[0]``, empty
    for the document itself), ``problem`` says what is wrong, ``remedy`` what to do about it.
    It is not a ValueError, so that it passes through pydantic's validators with its path intact.
    """

    def __init__(self, path: str, problem: str, remedy: str = "") -> None:
        super().__init__(path, problem, remedy)
        self.path = path
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        place = f"{self.path}: " if self.path else ""
        return f"{place}{self.problem}{f' ({self.remedy})' if self.remedy else ''}"


def in_words(error: Exception) -> str:
    """Return what is wrong without the number of the error; asyncio's and uvloop's texts become the same."""
    if isinstance(error, OSError) and error.errno and not isinstance(error, ssl.SSLError):
        # Below zero are the resolver's, which only it can name.
        return os.strerror(error.errno) if error.errno > 0 else error.strerror or str(error)
    return str(error) or type(error).__name__


def explained(error: Exception, place: str = "") -> tuple[str, str]:
    """Return in words what is wrong, and what to do about it ("" when only the reader can know).

    An error about files is told by its file, or by ``place`` when it names none (a full disk).
    """
    if not isinstance(error, OSError) or error.errno not in _REMEDIES:
        return in_words(error), ""
    where = error.filename or place
    return f"{where}: {in_words(error)}" if where else in_words(error), _REMEDIES[error.errno]


def unusable(path: str, error: Exception) -> ConfigError:
    """Return the refusal of the value at the JSON ``path`` that could not be made work."""
    problem, remedy = explained(error)
    return ConfigError(path, f"cannot be used: {problem}", remedy)


class HttpError(QuantumError):
    """A request that ends in an error status; ``http/failure.py`` turns it into a response.

    ``reason`` is for the log and the ``{http.error.message}`` placeholder, never for the body.
    ``headers`` are response fields that the answer must carry (Allow, Retry-After, …).
    """

    def __init__(
        self, status: int, reason: str = "", headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason
        self.headers = headers

    def __str__(self) -> str:
        return f"{self.status} {self.reason}".rstrip()


class BodyAborted(QuantumError):
    """The peer that was sending a body went away, or broke its framing, before the end."""


class ClientGone(QuantumError):
    """The client closed or reset its stream while its request was being handled (logged as 499)."""


class BusUnavailable(QuantumError):
    """The bus did not answer in time. Callers on the data plane go on with their last state."""


class BusFull(BusUnavailable):
    """The bus takes no more for want of room; what it holds can be read. Somebody has to make room."""
