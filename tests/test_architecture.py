"""Promises to whoever changes the code: imports lead one way, stages know nothing of their neighbours."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "streamspot"
STAGES = ("sources", "face", "motion", "model", "spotting", "sinks", "mqtt", "dashboard")


def _modules() -> dict[str, set[str]]:
    """Return every module with the modules of the package that it imports, those only for types included."""
    names = {
        ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): file
        for file in PACKAGE.rglob("*.py")
    }
    found: dict[str, set[str]] = {}
    for name, file in names.items():
        found[name] = set()
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "streamspot":
                wanted = {f"{node.module}.{alias.name}" for alias in node.names}
                found[name] |= {one if one in names else str(node.module) for one in wanted}
    return found


def test_no_import_leads_back_to_where_it_came_from():
    """A reader can start at ``types.py`` and read on without meeting what has not been read."""
    imports = _modules()
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " → ".join((*path[path.index(name) :], name))
        if name not in done:
            for other in sorted(imports[name] - {name, "streamspot"}):
                visit(other, (*path, name))
            done.add(name)

    for name in sorted(imports):
        visit(name, ())


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_imports_no_later_stage(stage: str):
    """What flows comes from ``types``; a stage never asks who takes what it gives."""
    later = STAGES[STAGES.index(stage) + 1 :] if stage in STAGES[:5] else ()
    for name, others in _modules().items():
        if name.startswith(f"streamspot.{stage}"):
            assert not [
                other for other in others if other.split(".")[1:2] and other.split(".")[1] in later
            ], name


def test_no_module_is_longer_than_a_reader_wants_to_scroll():
    """A file does one thing."""
    long = {file.name: len(file.read_text().splitlines()) for file in PACKAGE.rglob("*.py")}
    assert {name: lines for name, lines in long.items() if lines > 400} == {}


def test_the_map_names_every_file_in_its_own_words():
    """ARCHITECTURE.md has one line for each file, which is the first line of the file itself."""
    text = (PACKAGE.parent / "ARCHITECTURE.md").read_text()
    for file in PACKAGE.rglob("*.py"):
        if file.name != "__init__.py":
            sentence = (ast.get_docstring(ast.parse(file.read_text())) or "").partition("\n")[0]
            assert f"| `{file.relative_to(PACKAGE)}` | {sentence} |" in text
