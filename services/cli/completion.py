"""``quantum completion``: scripts with which shells complete commands and flags."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

from services.cli.flags import EXIT_OK, Help

EXAMPLES = """\
examples:
  source <(quantum completion bash)
  quantum completion bash > /etc/bash_completion.d/quantum
  quantum completion zsh > "${fpath[1]}/_quantum"
  quantum completion fish > ~/.config/fish/completions/quantum.fish
"""

Flags = list[argparse.Action]
SHELLS = ("bash", "zsh", "fish")

BASH = """\
_quantum() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} command=${{COMP_WORDS[1]}} words=
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="{commands}"
    elif [[ $word == -* ]]; then
        case $command in
{cases}
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _quantum quantum
"""
CASE = '            {name}) words="{flags}" ;;'
ZSH = "#compdef quantum\nautoload -U +X bashcompinit && bashcompinit\n"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the argument."""
    parser.epilog, parser.formatter_class = EXAMPLES, Help
    parser.add_argument("shell", choices=SHELLS)


def execute(args: argparse.Namespace) -> int:
    """Print the script; ``args`` has the commands and what makes their parser, of ``__main__``."""
    known = {name: flags(args.make_parser, name) for name in args.commands}
    if args.shell == "fish":
        print(fish(args.commands, known), end="")
    else:
        print((ZSH if args.shell == "zsh" else "") + bash(known), end="")
    return EXIT_OK


def flags(make_parser: Callable[[str], argparse.ArgumentParser], name: str) -> Flags:
    """Return the flags of a command."""
    commands = next(a for a in make_parser(name)._actions if a.dest == "command")  # noqa: SLF001
    command: argparse.ArgumentParser = dict(commands.choices or {})[name]
    return [action for action in command._actions if action.option_strings]  # noqa: SLF001


def bash(known: Mapping[str, Flags]) -> str:
    """Return the script for bash, which zsh takes too."""
    cases = [
        CASE.format(name=name, flags=" ".join(long_names(actions)))
        for name, actions in known.items()
    ]
    return BASH.format(commands=" ".join(known), cases="\n".join(cases))


def fish(commands: Mapping[str, str], known: Mapping[str, Flags]) -> str:
    """Return the script for fish."""
    lines = [
        f"complete -c quantum -n __fish_use_subcommand -f -a {name} -d {_quoted(summary)}"
        for name, summary in commands.items()
    ]
    for name, actions in known.items():
        seen = f"-n '__fish_seen_subcommand_from {name}'"
        for action in actions:
            words = [f"-l {text[2:]}" for text in action.option_strings if text.startswith("--")]
            words += [f"-s {text[1:]}" for text in action.option_strings if text[1] != "-"]
            takes = "" if action.nargs == 0 else " -r"
            lines.append(f"complete -c quantum {seen} {' '.join(words)}{takes}")
    return "\n".join(lines) + "\n"


def long_names(actions: Flags) -> list[str]:
    """Return the long forms of flags."""
    return [text for action in actions for text in action.option_strings if text.startswith("--")]


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
