"""What OpenTelemetry's environment variables say (OpenTelemetry specification, "SDK Environment Variables").

Spans are sent as OTLP over HTTP in JSON, which every collector takes on port 4318. gRPC is not built: a
collector's port 4317 does not understand what is sent here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

DEFAULT_ENDPOINT = "http://localhost:4318"
DEFAULT_TIMEOUT_MS = 10_000

SAMPLERS = frozenset({
    "always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off",
    "parentbased_traceidratio",
})  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """Where spans go, what they say of this service, which requests are sampled. ``url`` "": nowhere."""

    url: str
    headers: tuple[tuple[str, str], ...]
    timeout: float
    resource: tuple[tuple[str, str], ...]
    follows_parent: bool
    ratio: float


def read_settings(variable: Callable[[str], str]) -> Settings:
    """Read the environment; ValueError names the variable that cannot be obeyed."""
    follows, ratio = _sampler(variable)
    return Settings(
        url=_url(variable),
        headers=tuple(
            _pairs(_of_traces(variable, "HEADERS"), "OTEL_EXPORTER_OTLP_HEADERS").items()
        ),
        timeout=_milliseconds(_of_traces(variable, "TIMEOUT")) / 1000,
        resource=tuple(_resource(variable).items()),
        follows_parent=follows,
        ratio=ratio,
    )


def _of_traces(variable: Callable[[str], str], name: str) -> str:
    return variable(f"OTEL_EXPORTER_OTLP_TRACES_{name}") or variable(f"OTEL_EXPORTER_OTLP_{name}")


def _url(variable: Callable[[str], str]) -> str:
    disabled = variable("OTEL_SDK_DISABLED").lower() == "true"
    exporter = variable("OTEL_TRACES_EXPORTER") or "otlp"
    if exporter not in {"otlp", "none"}:
        raise ValueError(f"OTEL_TRACES_EXPORTER={exporter}: there are otlp and none")
    if disabled or exporter == "none":
        return ""
    protocol = _of_traces(variable, "PROTOCOL") or "http/json"
    if protocol == "grpc":
        raise ValueError(
            "OTEL_EXPORTER_OTLP_PROTOCOL=grpc is not built: use http/json and port 4318"
        )
    whole = variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    base = (variable("OTEL_EXPORTER_OTLP_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")
    url = whole or f"{base}/v1/traces"
    if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
        raise ValueError(f"OTEL_EXPORTER_OTLP_ENDPOINT={base}: an http or https URL")
    return url


def _resource(variable: Callable[[str], str]) -> dict[str, str]:
    given = _pairs(variable("OTEL_RESOURCE_ATTRIBUTES"), "OTEL_RESOURCE_ATTRIBUTES")
    name = variable("OTEL_SERVICE_NAME") or given.get("service.name") or "quantum"
    return {**given, "service.name": name}


def _pairs(text: str, name: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise ValueError(f"{name}: key=value pairs with commas between them")
        pairs[key.strip()] = unquote(value.strip())
    return pairs


def _milliseconds(text: str) -> float:
    if text and not text.isdecimal():
        raise ValueError("OTEL_EXPORTER_OTLP_TIMEOUT: a number of milliseconds")
    return float(text or DEFAULT_TIMEOUT_MS)


def _sampler(variable: Callable[[str], str]) -> tuple[bool, float]:
    name = variable("OTEL_TRACES_SAMPLER") or "parentbased_always_on"
    if name not in SAMPLERS:
        raise ValueError(f"OTEL_TRACES_SAMPLER={name}: there are {', '.join(sorted(SAMPLERS))}")
    if name.endswith("always_on"):
        return name.startswith("parentbased"), 1.0
    if name.endswith("always_off"):
        return name.startswith("parentbased"), 0.0
    text = variable("OTEL_TRACES_SAMPLER_ARG") or "1"
    try:
        ratio = float(text)
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        raise ValueError("OTEL_TRACES_SAMPLER_ARG: a number from 0 to 1")
    return name.startswith("parentbased"), ratio
