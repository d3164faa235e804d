"""What all commands share: the two ends of the terminal, tables, progress bars, and kinds of arguments."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated

import tyro
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from repose.errors import UserError

console = Console()
complaints = Console(stderr=True)

Input = Annotated[Path, tyro.conf.Positional]
Folder = Annotated[Path, tyro.conf.arg(aliases=("-o",))]
Modules = Annotated[tuple[str, ...], tyro.conf.arg(name="import")]


def table(*headings: str, right: tuple[str, ...] = ()) -> Table:
    """An empty table; the columns named in `right` hold numbers."""
    empty = Table(box=SIMPLE_HEAD)
    for heading in headings:
        empty.add_column(heading, justify="right" if heading in right else "left")
    return empty


def say(text: str) -> None:
    """A line as it is: neither wrapped nor coloured."""
    console.print(text, soft_wrap=True, highlight=False, markup=False)


def few(words: list[str]) -> str:
    """Up to four of them, and how many more."""
    if not words:
        return "–"
    return ", ".join(words[:4]) + (f" and {len(words) - 4} more" if len(words) > 4 else "")


def import_modules(names: tuple[str, ...]) -> None:
    """Import modules by name, also from the current folder; raises UserError for one that is not there."""
    sys.path.insert(0, str(Path.cwd()))
    for name in names:
        try:
            import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
            raise UserError(
                f"--import: no module is called {name!r}",
                "Give a name as in Python's import, without .py; the module may lie in this folder.",
            ) from None


class Bars:
    """Progress bars on the terminal, one for each thing that is done."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(
            *columns, console=complaints, transient=True, disable=not complaints.is_terminal
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "Bars":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def report(self, what: str, done: int, total: int | None) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total)
        self._progress.update(self._tasks[what], completed=done, total=total)
