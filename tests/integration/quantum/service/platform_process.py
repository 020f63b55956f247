"""A small platform of two rooms that write down what happens to them; run as a program.

Arguments: JSON of RunOptions' plain fields, and "behaviour": {room: what it does wrong}.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from pathlib import Path

from quantum.errors import ConfigError
from quantum.modules.registry import Registry
from quantum.modules.spec import Manifest
from quantum.service.api import Revision
from quantum.service.runner import RunOptions, run

ARGUMENTS = json.loads(sys.argv[1]) if __name__ == "__main__" else {}


class Room:
    def __init__(self, context):
        self.context = context
        self.behaviour = ARGUMENTS.get("behaviour", {}).get(context.room, "")

    def note(self, what):
        with (Path(ARGUMENTS["notes"])).open("a") as file:
            file.write(f"{self.context.room} {what}\n")

    async def start(self):
        if self.behaviour == "fail start":
            raise OSError("the port is taken")
        if self.behaviour == "fail later":
            loop = asyncio.get_running_loop()
            loop.call_later(0.5, self.context.stop_process, "work ended", RuntimeError("broken"))
        self.note("started")

    async def prepare(self, revision):
        if revision.document.get("refused_by") == self.context.room:
            raise ConfigError("refused_by", "refused")
        self.note(f"prepared {revision.document['word']}")
        room = self

        class Prepared:
            def commit(self):
                room.note(f"committed {revision.document['word']}")

            async def discard(self):
                room.note(f"discarded {revision.document['word']}")

        return Prepared()

    async def stop(self, grace):
        if self.behaviour == "fail stop":
            raise RuntimeError("will not stop")
        if self.behaviour == "hang":
            self.note("hanging")
            await asyncio.sleep(3600)
        self.note("stopped")


def parse(document):
    if not isinstance(document, dict) or "word" not in document:
        raise ConfigError("word", "required field is missing", "add it")
    text = json.dumps(document, sort_keys=True)
    return Revision(hashlib.sha256(text.encode()).hexdigest()[:16], document, None, {})


def main():
    given = {k: v for k, v in ARGUMENTS.items() if k not in ("behaviour", "notes")}
    for key in ("data_dir", "config_file", "pidfile"):
        if given.get(key):
            given[key] = Path(given[key])
    given["rooms"] = frozenset(given["rooms"])
    config = given.get("config_file")
    manifests = (
        Manifest("admin", "__main__:Room", "", needs=("proxy",)),
        Manifest("proxy", "__main__:Room", ""),
    )
    options = RunOptions(
        manifests=manifests,
        registry=Registry([]),
        parse=parse,
        load=(lambda: json.loads(config.read_text())) if config else None,
        **given,
    )
    return run(options)


if __name__ == "__main__":
    sys.exit(main())
