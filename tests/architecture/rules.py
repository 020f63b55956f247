"""The checks behind the architecture tests, as functions of a source tree, so that each can be shown
to catch a planted violation."""

import ast
from collections.abc import Iterator
from pathlib import Path

SOURCE = ("quantum", "services")

DOORS: dict[str, tuple[str, ...]] = {
    "nats": ("quantum/bus/nats.py", "quantum/bus/nats/"),
    "ngh2": ("quantum/wire/",),
    "aioquic": ("quantum/wire/quic/", "services/edge/", "services/proxy/transports/"),
    "acme": ("services/certs/",),
    "bcrypt": ("services/edge/authentication/",),
    "argon2": ("services/edge/authentication/",),
    "zlib_ng": ("services/edge/encoding/",),
    "zstandard": ("services/edge/encoding/",),
    "markdown_it": ("services/edge/templates/",),
    "urlpattern": ("services/edge/url_pattern/",),
    "yaml": ("services/edge/templates/",),
    "josepy": ("services/certs/",),
    "watchfiles": ("services/sync/", "services/cli/"),
    "aiohttp": (
        "quantum/service/ops.py",
        "services/admin/",
        "services/health/",
        "services/sync/",
        "services/cli/",
    ),
}
"""Third-party names with one door each: where else they are imported, a second way of doing a thing begins."""

CONFIG_FLOORS = ("errors", "ids", "clock", "tasks", "telemetry", "config", "modules")
"""Kernel packages that a room's configuration models and manifest may import: every image validates
the whole configuration, so they must load without any room's own dependencies."""

BANNED_NAMES = {"util", "utils", "helper", "helpers", "common", "base", "manager", "misc"}

MAX_FILE, P90_FILE = 500, 320
MAX_FUNCTION, P90_FUNCTION = 60, 28
MAX_FOLDER = 12


def sources(root: Path) -> Iterator[Path]:
    for package in SOURCE:
        yield from sorted((root / package).rglob("*.py"))


def imported(path: Path) -> Iterator[tuple[str, int]]:
    """Yield every imported module with its line, lazy imports included, type-checking ones not."""
    tree = ast.parse(path.read_text())
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            skipped.update(id(child) for inner in node.body for child in ast.walk(inner))
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module, node.lineno


def door_violations(root: Path) -> list[str]:
    found = []
    for path in sources(root):
        place = path.relative_to(root).as_posix()
        for module, line in imported(path):
            doors = DOORS.get(module.partition(".")[0])
            if doors is not None and not place.startswith(doors):
                found.append(f"{place}:{line} imports {module}; its door is {' or '.join(doors)}")
    return found


def config_floor_violations(root: Path) -> list[str]:
    found = []
    for path in sources(root):
        place = path.relative_to(root)
        if place.parts[0] != "services" or len(place.parts) != 3:
            continue
        stem = place.stem
        if stem not in ("config", "manifest") and not stem.endswith("_configs"):
            continue
        for module, line in imported(path):
            top, _, rest = module.partition(".")
            if (
                (top == "quantum" and rest.partition(".")[0] not in CONFIG_FLOORS)
                or (top == "services" and module.split(".")[1:2] != [place.parts[1]])
                or top in DOORS
            ):
                found.append(f"{place.as_posix()}:{line} imports {module}")
    return found


def file_lengths(root: Path) -> dict[str, int]:
    return {p.relative_to(root).as_posix(): len(p.read_text().splitlines()) for p in sources(root)}


def function_lengths(root: Path) -> dict[str, int]:
    lengths = {}
    for path in sources(root):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                name = f"{path.relative_to(root).as_posix()}:{node.lineno} {node.name}"
                lengths[name] = (node.end_lineno or node.lineno) - node.lineno + 1
    return lengths


def percentile(values: list[int], share: float) -> int:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else 0


def oversized(root: Path, reasons: dict[str, str]) -> list[str]:
    """Return files and functions over the hard limit that no reason excuses."""
    long_files = {k: v for k, v in file_lengths(root).items() if v > MAX_FILE}
    long_functions = {k: v for k, v in function_lengths(root).items() if v > MAX_FUNCTION}
    return [
        f"{name}: {length} lines"
        for name, length in {**long_files, **long_functions}.items()
        if not any(name.startswith(excused) for excused in reasons)
    ]


def crowded_folders(root: Path, reasons: dict[str, str]) -> list[str]:
    counts: dict[str, int] = {}
    for path in sources(root):
        if path.name != "__init__.py":
            folder = path.parent.relative_to(root).as_posix()
            counts[folder] = counts.get(folder, 0) + 1
    return [f"{k}: {v} files" for k, v in counts.items() if v > MAX_FOLDER and k not in reasons]


def badly_named(root: Path) -> list[str]:
    return [
        p.relative_to(root).as_posix()
        for p in sources(root)
        if BANNED_NAMES & {p.stem, p.parent.name}
    ]


def questions_about_topology(root: Path) -> list[str]:
    """Return lines outside hop/resolve that ask which rooms run in this process."""
    found = []
    allowed = (
        "quantum/hop/",
        "quantum/service/",
        "services/cli/",
        "services/catalog.py",
        "quantum/testing/",
    )
    for path in sources(root):
        place = path.relative_to(root).as_posix()
        if place.startswith(allowed):
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if "context.rooms" in line or "in self._rooms" in line:
                found.append(f"{place}:{number} {line.strip()}")
    return found
