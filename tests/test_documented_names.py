"""Every name that the documentation and docstrings mention imports as written."""

import ast
import importlib
import json
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import repose

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "repose"
DOTTED = re.compile(r"(?<![\w./-])repose(?:\.[A-Za-z_]\w*)+")
IMPORT = re.compile(
    r"^\s*(?:>>> )?(from repose[\w.]* import (?:\([^)]*\)|[^\n(]+)|import repose[^\n]*)", re.MULTILINE
)


def texts() -> Iterator[tuple[str, str]]:
    """Pages, notebook cells and docstrings, each with where it stands."""
    for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")):
        if page.name == "CHANGELOG.md":  # names old names
            continue
        yield page.relative_to(ROOT).as_posix(), page.read_text(encoding="utf-8")
    for notebook in ROOT.glob("docs/**/*.ipynb"):
        for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
            yield notebook.name, "".join(cell["source"])
    for module in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            # Docstrings, and the texts under constants and fields.
            if (
                isinstance(node, ast.Expr)
                and isinstance(node.value, ast.Constant)
                and isinstance(node.value.value, str)
            ):
                yield f"{module.relative_to(ROOT).as_posix()}:{node.lineno}", node.value.value


NAMES = {(name, where) for where, text in texts() for name in DOTTED.findall(text)}
IMPORTS = {
    (" ".join(line.split("#")[0].split()), where) for where, text in texts() for line in IMPORT.findall(text)
}


def resolve(dotted: str) -> object:
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError as error:
            if not dotted.startswith(str(error.name)):
                raise
            continue
        for name in parts[count:]:
            fields = getattr(found, "__annotations__", {}) if isinstance(found, type) else {}
            found = fields[name] if name in fields else getattr(found, name)
        return found
    raise AssertionError(dotted)


def test_there_is_something_to_check() -> None:
    assert len(NAMES) > 50
    assert len(IMPORTS) > 10


@pytest.mark.parametrize(("name", "where"), sorted(NAMES))
def test_documented_names_resolve(name: str, where: str) -> None:
    resolve(name)


@pytest.mark.parametrize(("line", "where"), sorted(IMPORTS))
def test_documented_imports_work(line: str, where: str) -> None:
    exec(line, {})


@pytest.mark.parametrize("part", [part.name for part in pkgutil.iter_modules(repose.__path__)])
def test_every_part_imports_as_a_module(part: str) -> None:
    """`import repose.viewer as v` must not give a function: modules are nouns, public functions verbs."""
    if part == "__main__":
        return
    space: dict[str, object] = {}
    exec(f"import repose.{part} as part", space)
    assert isinstance(space["part"], ModuleType)


def test_everything_in_all_is_there() -> None:
    for name in repose.__all__:
        assert getattr(repose, name) is not None
