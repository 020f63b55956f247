"""``python -m tests.caddyfiles``: made-up Caddyfiles, adapted by the real Caddy and here, compared byte for byte."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import traceback
from collections import Counter
from dataclasses import replace
from pathlib import Path

from tests.caddyfiles.generator import Generator
from tests.integration.caddyfile.cases import IMPORTS
from tests.integration.caddyfile.oracle import PANIC, Answer, running
from tests.integration.caddyfile.test_adapting import adapt_here

SHOWN = 10


def main() -> int:
    """Compare; print what differs and how many are equal; 1 when some differ."""
    parser = argparse.ArgumentParser(prog="python -m tests.caddyfiles", description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="how many; default: 1000")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other Caddyfiles")
    parser.add_argument(
        "--mistakes", type=float, default=0.3, help="share that is spoiled; default: 0.3"
    )
    args = parser.parse_args()
    generator = Generator(args.seed, args.mistakes)
    counted: Counter[str] = Counter()
    shown = 0
    os.chdir(IMPORTS)
    with tempfile.TemporaryDirectory() as home, running(Path(home), IMPORTS) as caddy:
        for _ in range(args.count):
            text = generator.make()
            # Caddy keeps the order of an ``order`` for the next text: its registry is global.
            wanted = caddy.adapt(text)
            kind = judge(text, wanted)
            counted[kind] += 1
            is_odd = kind.startswith("differs") and kind != "differs on purpose"
            shown += is_odd
            if is_odd and shown <= SHOWN:
                show(text, wanted)
    print(dict(counted))
    print(f"{args.count - shown} of {args.count} equal, or different on purpose")
    return 1 if shown else 0


def judge(text: str, wanted: Answer) -> str:
    """Return how the two compare."""
    if wanted.error == PANIC:
        return "Caddy panics"
    got = safely(text)
    wanted = replace(wanted, error=without_go(wanted.error))
    got = replace(got, error=without_go(got.error))
    if wanted == got:
        return "equal (refused)" if wanted.error else "equal"
    if not wanted.error and without_known(wanted.document) == without_known(got.document):
        return "differs on purpose"
    if wanted.error and got.error:
        return "differs in the words of an error"
    if wanted.error or got.error:
        return "differs: one refuses"
    return "differs" if wanted.document != got.document else "differs in warnings"


def without_go(error: str) -> str:
    """Return an error without the values that Go prints its way."""
    error = re.sub(r"(HTTP route or subroute).* \(only", r"\1 (only", error)
    return re.sub(r"(in conflict:|client auth configuration:) .*", r"\1", error)


def without_known(document: str) -> str:
    """Return a document without what differs on purpose (docs/caddyfile.md)."""
    if not document:
        return ""
    found = json.loads(document)
    servers = found.get("apps", {}).get("http", {}).get("servers", {})
    found.get("apps", {}).get("http", {})["servers"] = [
        s for s in servers.values() if "listen" in s
    ]
    return re.sub(r'"(match": \{"sni": [^}]*\}|default_sni": "[^"]*"),? ?', "", json.dumps(found))


def safely(text: str) -> Answer:
    """Adapt here; a crash is an answer too."""
    try:
        return adapt_here(text)
    except Exception:
        return Answer(error="CRASH " + traceback.format_exc(limit=-3))


def show(text: str, wanted: Answer) -> None:
    """Print a case that differs."""
    got = safely(text)
    print(
        f"{'-' * 30}\n{text}\ncaddy:   {wanted.error or wanted.document}\nquantum: {got.error or got.document}"
    )
    print(f"warnings: {wanted.warnings} {got.warnings}")


if __name__ == "__main__":
    sys.exit(main())
