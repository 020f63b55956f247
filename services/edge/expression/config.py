"""The configuration of ``http.matchers.expression``: every image reads and type-checks the expression."""

from __future__ import annotations

from typing import Any

from pydantic import Field, PrivateAttr, model_validator

from quantum.config.model import StrictModel
from quantum.errors import ConfigError
from quantum.modules.config import ModuleConfig, parse_named
from services.edge.expression.code import Run
from services.edge.expression.http import compile_expression
from services.edge.expression.syntax import Call, ExpressionError


class ExpressionConfig(StrictModel):
    """``http.matchers.expression``: a condition in CEL, alone as a text, or with a ``name`` for its groups.

    It is read and type-checked here; ``matchers`` are the ones that it calls, by the column of the call.
    """

    expr: str
    name: str = Field(default="", pattern=r"^\w*$")
    _matchers: dict[int, ModuleConfig] = PrivateAttr(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _alone(cls, value: Any) -> Any:
        return {"expr": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _check(self) -> ExpressionConfig:
        def named(node: Call, given: Any) -> Run:
            try:
                module = parse_named("http.matchers", node.name, given, "")
            except ConfigError as error:
                problem = f"{error.problem}{f' ({error.remedy})' if error.remedy else ''}"
                raise ExpressionError(node.column, f"{node.name}(): {problem}") from None
            self._matchers[node.column] = module
            return lambda request: False

        compile_expression(self.expr, lambda key: lambda request: None, named, self.name)
        return self

    @property
    def matchers(self) -> dict[int, ModuleConfig]:
        """The matchers that the expression calls."""
        return self._matchers
