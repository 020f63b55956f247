"""From tokens to a tree. Names of functions and variables are checked, as Go does."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from services.edge.templates.lexer import Token, tokens_of
from services.edge.templates.syntax import (
    Action,
    Branch,
    Chain,
    Command,
    Constant,
    Dot,
    Function,
    Invoke,
    Leave,
    Parsed,
    Pipe,
    Range,
    TemplateError,
    Text,
    Variable,
)

MAX_NESTED = 60
"""Actions and brackets within one another: each costs the stack here and when it is executed."""

_KEYWORDS = frozenset({"if", "range", "with", "define", "block", "template", "end", "else", "break", "continue"})  # fmt: skip


def parse(source: str, functions: Container[str], left: str = "{{", right: str = "}}") -> Parsed:
    """Return the tree of a template; TemplateError with the line of what is wrong."""
    return _Parser(list(tokens_of(source, left, right)), functions).template()


class _Parser:
    def __init__(self, tokens: list[Token], functions: Container[str]) -> None:
        self._tokens = [
            *tokens,
            Token("end of the template", None, tokens[-1].line if tokens else 1),
        ]
        self._place = 0
        self._functions = functions
        self._variables = ["$"]
        self._templates: dict[str, tuple[Any, ...]] = {}
        self._depth = 0
        self._loops = 0

    def template(self) -> Parsed:
        body, end = self._body(frozenset())
        assert end == ""
        return Parsed({"": body, **self._templates})

    @property
    def _token(self) -> Token:
        return self._tokens[self._place]

    def _take(self, kind: str = "") -> Token:
        token = self._token
        if kind and token.kind != kind:
            raise self._unexpected(kind)
        self._place += 1
        return token

    def _unexpected(self, wanted: str = "") -> TemplateError:
        token = self._token
        shown = token.kind if token.value is None else repr(token.value)
        return TemplateError(f"unexpected {shown}" + (f", {wanted!r} expected" if wanted else ""), token.line)  # fmt: skip

    def _keyword(self) -> str:
        """Return the keyword that an action starts with, "" for a pipeline."""
        following = self._tokens[self._place + 1] if self._token.kind == "open" else self._token
        return following.value if following.kind == "name" and following.value in _KEYWORDS else ""

    def _body(self, ends: frozenset[str]) -> tuple[tuple[Any, ...], str]:
        """Read nodes up to an action of ``ends``, whose keyword is taken and returned."""
        self._depth += 1
        if self._depth > MAX_NESTED:
            raise TemplateError(f"nested deeper than {MAX_NESTED}", self._token.line)
        nodes: list[Any] = []
        while True:
            token = self._take()
            if token.kind == "text":
                nodes.append(Text(token.value))
            elif token.kind == "open":
                self._place -= 1
                keyword = self._keyword()
                self._place += 1
                if keyword in ends:
                    self._place += 1
                    self._depth -= 1
                    return tuple(nodes), keyword
                nodes.extend(self._action(keyword))
            elif ends:
                raise TemplateError(f"an action without {{{{end}}}}: {token.kind}", token.line)
            else:
                self._depth -= 1
                return tuple(nodes), ""

    def _action(self, keyword: str) -> list[Any]:
        if not keyword:
            pipe = self._pipeline()
            self._take("close")
            return [Action(pipe)]
        line = self._take().line
        if keyword in {"if", "with"}:
            return [self._branch(keyword)]
        if keyword == "range":
            return [self._range()]
        if keyword in {"break", "continue"}:
            if not self._loops:
                raise TemplateError(f"{keyword} outside of range", line)
            self._take("close")
            return [Leave(keyword)]
        if keyword in {"define", "block", "template"}:
            return self._named(keyword, line)
        raise TemplateError(f"unexpected {keyword}", line)

    def _branch(self, kind: str) -> Branch:
        known = len(self._variables)
        pipe = self._pipeline()
        self._take("close")
        body, end = self._body(frozenset({"else", "end"}))
        otherwise: tuple[Any, ...] = ()
        if end == "else":
            nested = self._token
            if nested.kind == "name" and nested.value in {"if", "with"}:
                self._take()
                otherwise = (self._branch(nested.value),)
                del self._variables[known:]
                return Branch(kind, pipe, body, otherwise)
            self._take("close")
            otherwise, _ = self._body(frozenset({"end"}))
        self._take("close")
        del self._variables[known:]
        return Branch(kind, pipe, body, otherwise)

    def _range(self) -> Range:
        known = len(self._variables)
        pipe = self._pipeline(most=2)
        self._take("close")
        self._loops += 1
        body, end = self._body(frozenset({"else", "end"}))
        self._loops -= 1
        otherwise: tuple[Any, ...] = ()
        if end == "else":
            self._take("close")
            otherwise, _ = self._body(frozenset({"end"}))
        self._take("close")
        del self._variables[known:]
        return Range(pipe, body, otherwise)

    def _named(self, keyword: str, line: int) -> list[Any]:
        name = self._take("constant").value
        if not isinstance(name, str):
            raise TemplateError(f"{keyword} takes a name in quotes", line)
        pipe = self._pipeline() if keyword != "define" and self._token.kind != "close" else None
        self._take("close")
        if keyword != "template":
            outside, loops = self._variables, self._loops
            self._variables, self._loops = ["$"], 0
            self._templates[name], _ = self._body(frozenset({"end"}))
            self._variables, self._loops = outside, loops
            self._take("close")
        return [] if keyword == "define" else [Invoke(line, name, pipe)]

    def _pipeline(self, most: int = 1) -> Pipe:
        line = self._token.line
        variables, declares = self._declared(most)
        commands = [self._command()]
        while self._token.kind == "|":
            self._take()
            commands.append(self._command())
            if isinstance(commands[-1].operands[0], Constant | Dot):
                raise TemplateError("a value cannot be given a value", commands[-1].line)
        if declares:
            self._variables.extend(variables)
        return Pipe(line, variables, declares, tuple(commands))

    def _declared(self, most: int) -> tuple[tuple[str, ...], bool]:
        """Read ``$x :=``, ``$x =`` or, of a range, ``$i, $x :=``; nothing when it is something else."""
        names: list[str] = []
        ahead = self._place
        while self._tokens[ahead].kind == "variable" and len(names) < most:
            names.append(self._tokens[ahead].value)
            ahead += 1
            if self._tokens[ahead].kind != ",":
                break
            ahead += 1
        if not names or self._tokens[ahead].kind not in {":=", "="}:
            return (), False
        declares = self._tokens[ahead].kind == ":="
        for name in names:
            if not declares and name not in self._variables:
                raise TemplateError(f"undefined variable {name!r}", self._token.line)
        self._place = ahead + 1
        return tuple(names), declares

    def _command(self) -> Command:
        line, operands = self._token.line, [self._operand()]
        if operands == [Constant(None)]:
            raise TemplateError("nil is not a command", line)
        while self._token.kind not in {"close", "|", ")"}:
            if not self._token.spaced:
                raise self._unexpected()
            operands.append(self._operand())
        return Command(line, tuple(operands))

    def _operand(self) -> Any:
        token = self._take()
        operand = self._term(token)
        names: list[str] = [token.value] if token.kind == "field" else []
        while self._token.kind == "field" and not self._token.spaced:
            names.append(self._take().value)
        if names and isinstance(operand, Constant):
            raise TemplateError(f"a constant has no field {names[0]!r}", token.line)
        return Chain(operand, tuple(names)) if names else operand

    def _term(self, token: Token) -> Any:
        if token.kind == "constant":
            return Constant(token.value)
        if token.kind in {".", "field"}:
            return Dot()
        if token.kind == "variable":
            if token.value not in self._variables:
                raise TemplateError(f"undefined variable {token.value!r}", token.line)
            return Variable(token.value)
        if token.kind == "name":
            if token.value not in self._functions:
                raise TemplateError(f"function {token.value!r} not defined", token.line)
            return Function(token.value)
        if token.kind == "(":
            self._depth += 1
            if self._depth > MAX_NESTED:
                raise TemplateError(f"nested deeper than {MAX_NESTED}", token.line)
            pipe = self._pipeline()
            self._take(")")
            self._depth -= 1
            return pipe
        self._place -= 1
        raise self._unexpected()
