"""Options of the program: admin, ports, storage, order, logs, and single values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from quantum.caddyfile.context import State
from quantum.caddyfile.directives.grouping import read_bind
from quantum.caddyfile.errors import CaddyfileError
from quantum.caddyfile.language.dispenser import Dispenser
from quantum.caddyfile.modules.logs import read_log
from quantum.caddyfile.modules.storages import take_storage
from quantum.caddyfile.sites.logs import NamedLog
from quantum.caddyfile.values import numbers

Option = Callable[[Dispenser, State], Any]


def yes(d: Dispenser, state: State) -> bool:
    """An option whose name says it all."""
    return True


def text(d: Dispenser, state: State) -> str:
    """An option with one argument."""
    d.next()
    if not d.next():
        raise d.arg_error()
    value = d.val
    if d.next():
        raise d.arg_error()
    return value


def parsed(parse: Callable[[str], Any]) -> Option:
    """Return the reader of an option whose one argument ``parse`` understands."""

    def read(d: Dispenser, state: State) -> Any:
        return parse(text(d, state))

    return read


def port(d: Dispenser, state: State) -> int:
    """``http_port`` and ``https_port``."""
    value = text(d, state)
    try:
        return numbers.parse_int(value)
    except CaddyfileError as error:
        raise d.error(f"converting port '{value}' to integer value: {error.problem}") from None


def off(*, problem: str) -> Option:
    """Return the reader of an option that can only be turned off."""

    def read(d: Dispenser, state: State) -> str:
        value = text(d, state)
        if value != "off":
            raise d.error(problem.format(value))
        return value

    return read


def duration(d: Dispenser, state: State) -> int:
    """An option with one duration."""
    d.next()
    if not d.next():
        raise d.arg_error()
    return numbers.parse_duration(d.val)


def admin(d: Dispenser, state: State) -> dict[str, Any]:
    """``admin [off|<address>] { enforce_origin, origins }``."""
    made: dict[str, Any] = {}
    d.next()
    if d.next_arg():
        if d.val == "off":
            made["disabled"] = True
            if d.next():
                raise d.error("No more option is allowed after turning off admin config")
        else:
            made["listen"] = d.val
            d.no_more()
    for word in d.block():
        if word == "enforce_origin":
            made["enforce_origin"] = True
        elif word == "origins":
            made["origins"] = d.rest()
        else:
            raise d.error(f"unrecognized parameter '{word}'")
    return made


def order(d: Dispenser, state: State) -> None:
    """``order <directive> first|last|before|after [<other>]``."""
    d.next()
    if not d.next():
        raise d.arg_error()
    name = d.val
    if name not in state.table:
        raise d.error(f"{name} is not a registered directive")
    if not d.next():
        raise d.arg_error()
    position = d.val
    ordered = [other for other in state.order if other != name]
    if position in {"first", "last"}:
        d.no_more()
        ordered.insert(0 if position == "first" else len(ordered), name)
    elif position in {"before", "after"}:
        other = d.only()
        if other not in ordered:
            raise d.error(f"directive '{other}' not found")
        ordered.insert(ordered.index(other) + (position == "after"), name)
    else:
        raise d.error(f"unknown positional '{position}'")
    state.order[:] = ordered


def auto_https(d: Dispenser, state: State) -> list[str]:
    """``auto_https <words…>``."""
    d.next()
    found = d.some()
    for word in found:
        if word not in {"off", "disable_redirects", "disable_certs", "ignore_loaded_certs"}:
            raise d.error(
                "auto_https must be one of 'off', 'disable_redirects', 'disable_certs', or "
                "'ignore_loaded_certs'"
            )
    return found


def storage(d: Dispenser, state: State) -> dict[str, Any]:
    """``storage <module> …``."""
    d.next()
    return take_storage(d)


def default_bind(d: Dispenser, state: State) -> list[Any]:
    """``default_bind <addresses…> { protocols }``."""
    d.next()
    return [*state.options.get("default_bind", ()), read_bind(d)]


def log(d: Dispenser, state: State) -> list[NamedLog]:
    """``log [<name>] { … }``: a log of the program."""
    d.next()
    name = "default"
    if d.next_arg():
        name = d.val
        d.no_more()
    found: list[NamedLog] = state.options.get("log", [])
    if any(other.name == name for other in found):
        raise d.error("duplicate global log option for: " + name)
    selected: dict[str, list[str]] = {}

    def special(word: str) -> bool:
        if word in {"include", "exclude"}:
            selected.setdefault(word, []).extend(d.rest())
        elif word == "hostnames":
            raise d.error(f"{word} is not allowed in the log global options")
        elif word != "no_hostname":
            return False
        return True

    made = {**read_log(d, special), **selected}
    return [*found, NamedLog(name, made or None)]


def metrics(d: Dispenser, state: State) -> dict[str, Any]:
    """``metrics { per_host, observe_catchall_hosts, otlp }``."""
    made: dict[str, Any] = {}
    d.next()
    for word in d.block():
        if word not in {"per_host", "observe_catchall_hosts", "otlp"}:
            raise d.error(f"unrecognized servers option '{word}'")
        made[word] = True
    return made


def pki(d: Dispenser, state: State) -> dict[str, Any]:
    """``pki { ca [<id>] { … } }``."""
    found: dict[str, Any] = {}
    d.next()
    for word in d.block():
        if word != "ca":
            raise d.error(f"unrecognized pki option '{word}'")
        name = d.val if d.next_arg() else "local"
        found[name] = _authority(d)
    return found


def _authority(d: Dispenser) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for word in d.block():
        if word in {"root", "intermediate"}:
            made[word] = _key_pair(d, word)
        elif word in AUTHORITY:
            made[AUTHORITY[word]] = d.arg()
        elif word in {"intermediate_lifetime", "maintenance_interval"}:
            made[word] = numbers.parse_duration(d.arg())
        elif word == "renewal_window_ratio":
            made[word] = numbers.parse_float(d.arg())
        else:
            raise d.error(f"unrecognized pki ca option '{word}'")
    return made


AUTHORITY = {
    "name": "name",
    "root_cn": "root_common_name",
    "intermediate_cn": "intermediate_common_name",
}
KEY_PAIR = {"cert": "certificate", "key": "private_key", "format": "format"}


def _key_pair(d: Dispenser, which: str) -> dict[str, str]:
    made: dict[str, str] = {}
    for word in d.block():
        if word not in KEY_PAIR:
            raise d.error(f"unrecognized pki ca {which} option '{word}'")
        made[KEY_PAIR[word]] = d.arg()
    return made


def events(d: Dispenser, state: State) -> dict[str, Any]:
    """``events { on <event> <handler> … }``; there are no handlers of Caddy's own."""
    d.next()
    d.no_more()
    for word in d.block():
        if word != "on":
            raise d.arg_error()
        d.arg()
        name = d.arg()
        full = f"events.handlers.{name}"
        raise d.error(f"getting module named '{full}': module not registered: {full}")
    return {}


def filesystem(d: Dispenser, state: State) -> None:
    """``filesystem <name> <module>``; there are no modules of Caddy's own."""
    d.next()
    d.arg()
    name = f"caddy.fs.{d.arg()}"
    raise d.error(f"getting module named '{name}': module not registered: {name}")
