"""Bounds of what others hand over: files of settings that stay small, archives that do not burst."""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

_YAML = 64 * 2**10
"""Bytes of a file of settings; ours have a few hundred."""
_TIMES = 30
"""Beyond its first MiB an archive may be so many times as large as its file: measured numbers shrink by a tenth."""


_NUMBERS = {"int": r"[-+]?(0|[1-9]\d*)$", "float": r"[-+]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][-+]?\d+)?$"}
"""What is taken for a number, as in YAML 1.2. YAML 1.1 makes numbers or dates of 015, 12:30:00 and 2026-11-22, which
may be names."""


_DROPPED = {"timestamp", "value", "merge"}
"""What else YAML 1.1 makes of plain text."""


class _Loader(yaml.SafeLoader):
    """Takes no alias, for a few of them stand for billions of values, and no key twice, for one would be lost."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Return the next node."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="aliases (*name) are not taken, write the value out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the next mapping."""
        content = super().construct_mapping(node, deep)
        if len(content) < len(node.value):
            names = Counter(key.value for key, _ in node.value)
            raise yaml.MarkedYAMLError(problem=f"it has the key {names.most_common(1)[0][0]!r} twice")
        return content


_Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in resolvers if tag.rpartition(":")[2] not in {*_NUMBERS, *_DROPPED}]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _kind, _form in _NUMBERS.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(_form), list("-+.0123456789"))


def read_yaml(path: Path) -> Any:
    """Return what a file of settings holds, None if it holds nothing.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no YAML, is too long, is nested too deep, has aliases or a key twice; says which.
    """
    with path.open("rb") as file:
        content = file.read(_YAML + 1)
    if len(content) > _YAML:
        raise ValueError(f"it is longer than {_YAML >> 10} KiB")
    try:
        return yaml.load(content.decode("utf-8-sig"), _Loader)  # noqa: S506 - a safe one
    except UnicodeDecodeError:
        raise ValueError("it is not text in UTF-8") from None
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except yaml.YAMLError as error:
        raise ValueError(getattr(error, "problem", None) or "it has a character that cannot be") from None


def check_archive(path: Path, free: int) -> None:
    """Refuse, before it is unpacked, a zip file that would unpack to far more than such files do.

    Args:
        path: The file.
        free: MiB that it may always have unpacked.

    Raises:
        OSError: It cannot be read.
        ValueError: It is none, or says that it is far larger unpacked than such files are.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(one.file_size for one in archive.infolist())
    except zipfile.BadZipFile as error:
        raise ValueError(str(error)) from None
    if size > max(free << 20, _TIMES * path.stat().st_size):
        raise ValueError(f"unpacked it would take {size >> 20} MiB")
