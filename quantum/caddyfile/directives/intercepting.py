"""What becomes of responses: handle_response, replace_status, intercept, copy_response."""

from __future__ import annotations

from typing import Any

from quantum.caddyfile.context import Context
from quantum.caddyfile.language.dispenser import Dispenser
from quantum.caddyfile.modules import settings
from quantum.caddyfile.modules.responses import read_matcher
from quantum.caddyfile.modules.settings import Setting, read_block
from quantum.caddyfile.values.encoding import compact, weak


class Responses:
    """Collects response matchers and what is done with the responses they match."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._matchers: dict[str, dict[str, Any]] = {}
        self._segments: list[Dispenser] = []
        self.found: list[dict[str, Any]] = []

    def takes(self, d: Dispenser, word: str) -> bool:
        """Read a line that is about responses; return whether it is."""
        if word.startswith("@"):
            if word in self._matchers:
                raise d.error(f"matcher is defined more than once: {word}")
            self._matchers[word] = read_matcher(d)
        elif word == "handle_response":
            self._segments.append(d.fork())
        elif word == "replace_status":
            self._replace(d)
        else:
            return False
        return True

    def _replace(self, d: Dispenser) -> None:
        args = d.rest()
        if len(args) not in {1, 2}:
            raise d.error(
                "must have one or two arguments: an optional response matcher, and a status code"
            )
        made: dict[str, Any] = {}
        if len(args) == 2:
            made["match"] = self._matcher(d, args[0])
        if d.next_block(1):
            raise d.error(
                "cannot define routes for 'replace_status', use 'handle_response' instead."
            )
        self.found.append({**made, "status_code": weak(args[-1])})

    def _matcher(self, d: Dispenser, name: str) -> dict[str, Any]:
        if not name.startswith("@"):
            raise d.error("must use a named response matcher, starting with '@'")
        if name not in self._matchers:
            raise d.error(f"no named response matcher defined with name '{name[1:]}'")
        return self._matchers[name]

    def finish(self) -> list[dict[str, Any]]:
        """Read the blocks of routes, now that every matcher is known; the unconditional go last."""
        for d in self._segments:
            d.next()
            args = d.rest()
            if len(args) > 1:
                raise d.error(
                    "too many arguments for 'handle_response': only a single response matcher "
                    f"name is allowed, but got: [{' '.join(args)}]"
                )
            made = {"match": self._matcher(d, args[0])} if args else {}
            subroute = self._context.inside(d.segment(), self._context.known).subroute()
            routes = [route.to_json() for route in subroute.routes]
            self.found.append({**made, **compact(routes=routes)})
        return sorted(self.found, key=lambda made: "match" not in made)


def intercept(context: Context) -> dict[str, Any]:
    """``intercept { @matcher, handle_response, replace_status }``."""
    d = context.d
    responses = Responses(context)
    d.next()
    for word in d.block():
        if not responses.takes(d, word):
            raise d.error(f"unrecognized subdirective {word}")
    return compact(handle_response=responses.finish())


def copy_response(context: Context) -> dict[str, Any]:
    """``copy_response [<status>] { status }``."""
    d = context.d
    d.next()
    args = d.rest()
    if len(args) > 1:
        raise d.arg_error()
    made = {"status_code": args[0]} if args else {}
    read_block(
        d, made, {"status": Setting("status_code", settings.text)},
        "unrecognized subdirective '{}'",
    )  # fmt: skip
    return compact(status_code=weak(made.get("status_code", "")))


def copy_response_headers(context: Context) -> dict[str, Any]:
    """``copy_response_headers { include, exclude }``."""
    d = context.d
    d.next()
    d.no_more()
    made: dict[str, Any] = {}
    table = {
        "include": Setting("include", settings.any_texts, add=True),
        "exclude": Setting("exclude", settings.any_texts, add=True),
    }
    read_block(d, made, table, "unrecognized subdirective '{}'")
    return made
