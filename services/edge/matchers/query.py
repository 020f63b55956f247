"""``http.matchers.query``: keys are ANDed, the values of one key ORed; a malformed query never matches."""

from __future__ import annotations

from quantum.http.matcher import Matcher
from quantum.http.message import Request
from quantum.http.placeholders import compile_template
from quantum.http.query import parse_query
from quantum.modules.lifetime import Provision
from services.edge.matchers.config import QueryConfig


def query(config: QueryConfig, provision: Provision) -> Matcher:
    """Return the question whether the query has what is wanted; an empty wish wants no query."""
    if not config.root:
        return lambda request: not parse_query(request.query)[0]
    wanted = [
        (compile_template(key), [compile_template(value) for value in values])
        for key, values in config.root.items()
    ]

    def matches(request: Request) -> bool:
        if not request.query:
            return False
        given, is_well_formed = parse_query(request.query)
        if not is_well_formed:
            return False
        for key, values in wanted:
            present = given.get(key(request))
            if present is None:
                return False
            texts = [expand(request) for expand in values]
            if not any(text == "*" or text in present for text in texts):
                return False
        return True

    return matches
