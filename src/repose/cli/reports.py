"""What all scoring commands do with their report: print it, and write the requested files."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from repose.cli.terminal import console, echo
from repose.files.output import check_file

if TYPE_CHECKING:
    from repose.evaluation import Report

_KINDS = ("json", "csv", "latex", "markdown", "figure", "predictions")


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
        natural = Console(width=1000).measure(table).maximum
        Console(width=max(natural, console.width)).print(table)
    for kind, file in files.items():
        getattr(report, f"write_{kind}")(file)
        echo(f"Written: {file}")
