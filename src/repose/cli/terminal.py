"""What all commands share: terminal output, tables, progress bars, reports, and types of arguments."""

import codecs
import os
import signal
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import tyro
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from repose.errors import UserError, printable
from repose.files.output import check_file

if TYPE_CHECKING:
    from repose.evaluation import Report


console = Console()
error_console = Console(stderr=True)

Input = Annotated[Path, tyro.conf.Positional]
Folder = Annotated[Path, tyro.conf.arg(aliases=("-o",))]
Modules = Annotated[tuple[str, ...], tyro.conf.arg(name="import")]


@dataclass(frozen=True, kw_only=True)
class ReportFiles:
    """Options of commands that give a report: the files for it (`wanted_files`, `show_report`)."""

    json: Path | None = None
    """File for all numbers (JSON), and the protocol in words."""
    csv: Path | None = None
    """File for all numbers (CSV)."""
    latex: Path | None = None
    """File for the rows of a table (LaTeX): the first one."""
    tabular: Path | None = None
    """File for a whole table (LaTeX): the first one."""
    markdown: Path | None = None
    """File for the tables (Markdown), and the protocol in words."""
    force: bool = False
    """Overwrite existing files."""


class Interrupted(KeyboardInterrupt):
    """The program was asked to end by a signal other than Ctrl-C's."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def terminal() -> Iterator[None]:
    """Make output robust: whatever is printed inside neither fails nor is lost silently.

    Characters that the terminal lacks are spelt with those that it has. Where standard output cannot be
    written, on a full disk, that is a UserError; where its reader has gone, as `| head` does, the program
    ends quietly. SIGTERM and SIGHUP interrupt as Ctrl-C does, unless they are ignored already.
    """
    with ExitStack() as stack:
        for name, failed in (("stdout", _refuse), ("stderr", _drop)):
            stream = getattr(sys, name)
            if stream is not None:
                with suppress(AttributeError):  # a notebook's stream takes every character
                    stream.reconfigure(errors="repose-plain")
                stack.enter_context(_put(name, _Stream(stream, failed)))
        for number in (signal.SIGTERM, getattr(signal, "SIGHUP", None)):
            with suppress(ValueError):  # signals are the main thread's alone
                if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                    signal.signal(number, _end)
                    stack.callback(signal.signal, number, signal.SIG_DFL)
        yield
        for name in ("stdout", "stderr"):
            if getattr(sys, name) is not None:
                getattr(sys, name).flush()


@contextmanager
def _put(name: str, stream: "_Stream") -> Iterator[None]:
    before = getattr(sys, name)
    setattr(sys, name, stream)
    try:
        yield
    finally:
        setattr(sys, name, before)


class _Stream:
    """A text stream whose failures go to `failed`."""

    def __init__(self, stream: Any, failed: Any) -> None:
        self._stream, self._failed = stream, failed

    def write(self, text: str) -> int:
        try:
            return int(self._stream.write(text))
        except OSError as error:
            self._failed(self._stream, error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._failed(self._stream, error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _refuse(stream: Any, error: OSError) -> NoReturn:
    _drop(stream, error)
    if isinstance(error, BrokenPipeError):
        raise SystemExit(128 + 13)
    raise UserError(
        f"standard output cannot be written ({error.strerror})",
        "Free some disk space, or redirect the output.",
    )


def _drop(stream: Any, error: OSError) -> None:
    """Discard what is still in the stream, so that Python's own last flush does not fail again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _end(number: int, _: FrameType | None) -> NoReturn:
    signal.signal(number, signal.SIG_IGN)  # once is enough: cleaning up is not to be cut short
    raise Interrupted(number)


_PLAIN = str.maketrans(
    {"–": "-", "—": "-", "−": "-", "“": '"', "”": '"', "’": "'", "±": "+-", "·": ".", "ß": "ss"}
)


def _spell(error: UnicodeError) -> tuple[str, int]:
    """Characters that an encoding lacks, in its own: é as e, – as -, others as ?."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = unicodedata.normalize("NFKD", error.object[error.start : error.end].translate(_PLAIN))
    spelt = "".join(
        letter if letter.isascii() else "?" for letter in text if not unicodedata.combining(letter)
    )
    return spelt, error.end


codecs.register_error("repose-plain", _spell)


def table(*headings: str, right: tuple[str, ...] = ()) -> Table:
    """Create an empty table; the columns named in `right` hold numbers."""
    empty = Table(box=SIMPLE_HEAD)
    for heading in headings:
        empty.add_column(heading, justify="right" if heading in right else "left")
    return empty


def echo(text: str) -> None:
    """Print a line literally, neither wrapped nor coloured, with control characters escaped."""
    console.print(printable(text), soft_wrap=True, highlight=False, markup=False)


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


class ProgressBars:
    """Progress bars on the terminal, one per task."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(
            *columns, console=error_console, transient=True, disable=not error_console.is_terminal
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "ProgressBars":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def report(self, what: str, done: int, total: int | None) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total)
        self._progress.update(self._tasks[what], completed=done, total=total)


_KINDS = ("json", "csv", "latex", "tabular", "markdown", "figure", "predictions")


def wanted_files(command: Any) -> dict[str, Path]:
    """Return the files that a command is to write, by the options that name them.

    Raises UserError for one that cannot be written, or is there and is not to be overwritten (`--force`).
    """
    files = {kind: file for kind in _KINDS if (file := getattr(command, kind, None)) is not None}
    for file in files.values():
        check_file(file, force=command.force)
    if "figure" in files:
        from repose.evaluation import check_plot

        check_plot()
    return files


def show_report(report: "Report", files: Mapping[str, Path]) -> None:
    """Print a report, and write it in each form to its file."""
    if summary := report.summary():
        echo(summary)
    for table in report.tables():
        # As wide as it is, whatever the terminal: a number that is cut off says nothing.
        natural = Console(width=1_000_000).measure(table).maximum
        Console(width=max(natural, console.width)).print(table)
    for kind, file in files.items():
        getattr(report, f"write_{kind}")(file)
        echo(f"Written: {file}")
