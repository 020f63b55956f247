"""How the folders of this room name their modules: a model in ``config.py``, an implementation beside it."""

from __future__ import annotations

from collections.abc import Callable

from quantum.modules.spec import ModuleSpec

Spec = Callable[[str, str, str, str], ModuleSpec]


def folder(name: str, namespace: str) -> Spec:
    """Return what makes a ModuleSpec of a module's name in ``namespace``, model, implementation and summary."""

    def spec(module: str, model: str, implementation: str, summary: str) -> ModuleSpec:
        return ModuleSpec(
            id=f"{namespace}.{module}",
            room="edge",
            config=f"services.edge.{name}.config:{model}",
            implementation=f"services.edge.{name}.{implementation}",
            summary=summary,
        )

    return spec
