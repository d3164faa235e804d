"""Reports and their forms: words and tables for the terminal, Markdown, and JSON for programs."""

import csv
import io
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from repose.errors import needing, printable
from repose.evaluation.scores import ANGLES, Estimate
from repose.files.output import stage_file

ANGLES_IN_WORDS = (
    "angles: flexion of knee, hip and elbow, elevation of the upper arm, trunk forward of the vertical; mean "
    "absolute error, and the bias in brackets, in degrees"
)


class Report(ABC):
    """The protocol, in words, and the results, in numbers."""

    digits: ClassVar[int | None] = 4
    """Decimals in JSON; all of them where None."""

    @abstractmethod
    def summary(self) -> str:
        """Return the protocol in words, a line each."""

    @abstractmethod
    def tables(self) -> list[Table]:
        """Return the numbers to look at, as tables."""

    def printed(self) -> list[Table]:
        """Return the tables for a paper: the first one, unless a report has others."""
        return self.tables()[:1]

    @abstractmethod
    def content(self) -> dict[str, Any]:
        """Return all numbers and the protocol in words."""

    @abstractmethod
    def numbers(self) -> Iterator[Sequence[object]]:
        """Yield the headings of CSV, then a row for each number."""

    def to_json(self) -> str:
        """Return everything; null where nothing was measured."""
        return json.dumps(_plain(self.content(), self.digits), indent=1, ensure_ascii=False, allow_nan=False)

    def to_markdown(self) -> str:
        """Return the words as a list, and the tables."""
        words = "\n".join(f"- {_literal(line.removeprefix('- '))}" for line in self.summary().splitlines())
        return "\n\n".join([words, *map(_markdown, self.tables())]) + "\n"

    def to_csv(self) -> str:
        """Return a row for each number, empty where nothing was measured."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(map(_filled, self.numbers()))
        return text.getvalue()

    def to_latex(self) -> str:
        """Return the rows of a LaTeX table, the first of them its headings, after the words as comments."""
        return self._latex(_latex_rows)

    def to_tabular(self) -> str:
        """Return what `to_latex` does as a whole `tabular`; needs the package booktabs."""
        return self._latex(_tabular)

    def _latex(self, form: Callable[[Table], list[str]]) -> str:
        words = [f"% {printable(line)}" for line in self.summary().splitlines()]
        return "\n".join([*words, *(line for table in self.printed() for line in form(table))]) + "\n"

    def write_json(self, path: str | Path) -> None:
        """Write `to_json` to a file."""
        write_text(path, self.to_json())

    def write_markdown(self, path: str | Path) -> None:
        """Write `to_markdown` to a file."""
        write_text(path, self.to_markdown())

    def write_csv(self, path: str | Path) -> None:
        """Write `to_csv` to a file."""
        write_text(path, self.to_csv())

    def write_latex(self, path: str | Path) -> None:
        """Write `to_latex` to a file."""
        write_text(path, self.to_latex())

    def write_tabular(self, path: str | Path) -> None:
        """Write `to_tabular` to a file."""
        write_text(path, self.to_tabular())


def write_text(path: str | Path, text: str) -> None:
    """Write a file of text, as `write_file`."""
    write_file(path, lambda file: file.write(text.encode()))


def write_file(path: str | Path, fill: Callable[[BinaryIO], object]) -> None:
    """Write a file whole or not at all; raises UserError where it cannot be written."""
    with stage_file(path) as partial, partial.open("wb") as file:
        fill(file)


def make_table(names: Sequence[str], numbers: Sequence[str]) -> Table:
    """Return an empty table with columns for names, at the left, and for numbers."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0) if len(numbers) > 5 else (0, 1))
    for heading in names:
        table.add_column(Text(printable(heading)), no_wrap=True)
    for heading in numbers:
        table.add_column(Text(printable(heading)), justify="right", no_wrap=True)
    return table


def add_row(table: Table, *cells: str) -> None:
    """Add a row of plain text: names come from files, and are no markup."""
    table.add_row(*(Text(printable(cell)) for cell in cells))


def show(value: float | Estimate, digits: int = 1, sign: str = "") -> str:
    """Return a number, or a mean ± half of its interval; a dash where nothing was measured."""
    mean = value.mean if isinstance(value, Estimate) else value
    if not math.isfinite(mean):
        return "–"
    text = f"{mean:{sign}.{digits}f}"
    return f"{text} ±{(value.high - value.low) / 2:.1f}" if isinstance(value, Estimate) else text


def angle_headings() -> list[str]:
    """Return the headings of `show_angles`."""
    return [f"{angle.partition('_')[0]}\n(bias)" for angle in ANGLES]


def show_angles(means: Mapping[str, float]) -> list[str]:
    """Return the error and the bias of each angle in degrees, from means of metrics by their names."""
    errors = [(means[f"{angle}_error_deg"], means[f"{angle}_bias_deg"]) for angle in ANGLES]
    return [f"{show(error)} ({show(bias, sign='+')})" for error, bias in errors]


def _markdown(table: Table) -> str:
    # A heading of two lines begins on the first of the columns that it is over.
    headings = [_literal(str(column.header)) for column in table.columns]
    rules = ["---:" if column.justify == "right" else "---" for column in table.columns]
    rows = zip(*(column.cells for column in table.columns), strict=True)
    lines = (headings, rules, *([_literal(str(cell)) for cell in row] for row in rows))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _latex_rows(table: Table) -> list[str]:
    headings, over = [], ""
    for column in table.columns:  # one of two lines is over the columns after it that begin with the second
        above, _, below = str(column.header).rpartition("\n")
        over = above or (over if str(column.header).startswith("\n") else "")
        headings.append(f"{over} {below}".strip())
    rows = [headings, *zip(*(map(str, column.cells) for column in table.columns), strict=True)]
    return [" & ".join(map(_latex, row)) + r" \\" for row in rows]


def _tabular(table: Table) -> list[str]:
    columns = "".join("r" if column.justify == "right" else "l" for column in table.columns)
    headings, *rows = _latex_rows(table)
    begin = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule"]
    return [*begin, headings, r"\midrule", *rows, r"\bottomrule", r"\end{tabular}"]


_SPELT = {
    **{sign: "\\" + sign for sign in "_%&#${}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "σ": r"$\sigma$",
    "²": r"$^2$",
    "°": r"$^\circ$",
    "–": "--",
}


def _latex(text: str) -> str:
    return "".join(_SPELT.get(sign, sign) for sign in printable(text).strip())


def _filled(row: Sequence[object]) -> list[str]:
    return ["" if value is None or value != value else str(value) for value in row]


def _literal(text: str) -> str:
    """Text that Markdown takes for nothing else."""
    return "".join(
        "\\" + letter if letter in "\\`*_[]<>|#" else letter for letter in " ".join(printable(text).split())
    )


def _plain(value: Any, digits: int | None) -> Any:
    """Without NaN, and with no more digits than mean something."""
    if isinstance(value, dict):
        return {key: _plain(entry, digits) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry, digits) for entry in value]
    if isinstance(value, float):
        return (value if digits is None else round(value, digits)) if math.isfinite(value) else None
    return value


def check_plot() -> None:
    """Raise UserError where plots cannot be drawn."""
    with needing("plots need matplotlib", "pip install matplotlib"):
        import matplotlib  # noqa: F401


def plain_text(text: str) -> str:
    """Return text in which Matplotlib finds no formula: names come from files."""
    return printable(text).replace("$", r"\$")
