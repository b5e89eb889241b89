"""The flags of a command, made from the settings tree."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from streamspot.settings import leaves

_PLAIN = (bool, int, float, Path)


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command that takes ``**flags`` an option for every setting; those not given are None."""
    signature = inspect.signature(command, eval_str=True)
    kept = [one for one in signature.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
    made = [
        inspect.Parameter(
            leaf, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_option(group, leaf, field)
        )
        for group, leaf, field in leaves()
    ]
    command.__signature__ = signature.replace(parameters=[*made, *kept])  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in (*made, *kept)}
    return command


def _option(group: str, leaf: str, field: FieldInfo) -> Any:
    """Return the annotation of a setting's option; what is no number, path or switch is text, validated later."""
    parts = [field.annotation, *get_args(field.annotation)]
    kind: Any = list[str] if leaf == "source" else next((part for part in parts if part in _PLAIN), str)
    flag = leaf.replace("_", "-")
    names = [f"--{flag}/--no-{flag}"] if kind is bool else [f"--{flag}"]
    text = field.description or ""
    default = field.default
    if kind is not bool and default not in {None, False, "", PydanticUndefined} and "Default" not in text:
        text += f" Default: {default}."
    return Annotated[kind | None, typer.Option(*names, help=text, rich_help_panel=group or None)]
