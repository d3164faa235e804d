"""What keeps the package easy to find one's way in: sizes, names and dependencies of its modules."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "src" / "repose"
MODULES = sorted(SOURCE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in MODULES}

LONGEST_FILE, LONGEST_FUNCTION = 400, 60
READ_TOP_TO_BOTTOM = {("lifting/lifter.py", "lift"), ("training/loop.py", "train")}
"""Long functions that are clearer whole: each is one sequence of steps."""
MOST_DEPENDENCIES = 168
MOST_ENTRIES = 31

FORMATS = {"bvh", "c3d", "trc"}
"""Read by `mocap`, written by `export`."""
COMMANDS = {path.stem for path in (SOURCE / "cli").glob("*.py")}
"""Named after what they call."""


def dependencies(path: Path, tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the parts that a module imports, each with the module's own part."""
    part = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    for node in ast.walk(tree):
        modules = []
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "repose":
            below = [alias.name for alias in node.names] if node.module == "repose" else []
            modules = [f"repose.{name}" for name in below] or [node.module]
        elif isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        for module in modules:
            names = module.split(".")
            if names[0] == "repose" and len(names) > 1 and names[1] != part:
                yield part, names[1]


def test_no_module_is_too_long() -> None:
    lines = {
        str(path.relative_to(SOURCE)): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES
    }
    assert {name: count for name, count in lines.items() if count > LONGEST_FILE} == {}


def test_no_function_is_too_long() -> None:
    long = {
        (path.relative_to(SOURCE).as_posix(), node.name)
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno >= LONGEST_FUNCTION
    }
    assert long - READ_TOP_TO_BOTTOM == set()


def test_parts_depend_on_few_others() -> None:
    pairs = {pair for path, tree in TREES.items() for pair in dependencies(path, tree)}
    assert len(pairs) <= MOST_DEPENDENCIES, Counter(part for part, _ in pairs).most_common()


def test_the_listing_of_the_package_is_short() -> None:
    entries = {path.name for path in SOURCE.iterdir() if path.name != "__pycache__"}
    assert len(entries) <= MOST_ENTRIES, sorted(entries)


def test_no_two_modules_share_a_name() -> None:
    """The same format or thing in two parts may: read here and written there, computed here and run there."""
    names = Counter(
        path.stem for path in MODULES if path.parent != SOURCE / "cli" and not path.stem.startswith("__")
    )
    shared = {name for name, count in names.items() if count > 1}
    assert shared - FORMATS <= {"angles"}
