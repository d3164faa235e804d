"""The command `repose`: subcommands, and what they say. Everything they do is in the other parts."""

import math
import signal
import sys
from dataclasses import fields, is_dataclass
from typing import Any

import tyro
from rich.markup import escape

from repose.cli.benchmark import Benchmark
from repose.cli.datasets import Doctor, Evaluate, Prepare
from repose.cli.export import Export
from repose.cli.poses import Demo, Estimate, Models
from repose.cli.refine import Angles, Refine
from repose.cli.terminal import Interrupted, console, error_console, terminal
from repose.cli.training import Compare, train_command
from repose.cli.view import Render, View
from repose.errors import UserError, expected
from repose.files.output import forget_placed, placed

__all__ = ["console", "main"]


def main(arguments: list[str] | None = None) -> None:
    """Run the command line.

    Errors that the user can mend end it with exit code 2, interrupts with 128 and the signal's number.
    """
    forget_placed()
    try:
        with terminal():
            _run(sys.argv[1:] if arguments is None else arguments)
    except UserError as error:
        with terminal():
            error_console.print(
                f"[bold red]Error:[/] {escape(error.message)}", soft_wrap=True, highlight=False
            )
            if error.hint:
                error_console.print(escape(error.hint), soft_wrap=True, highlight=False)
        sys.exit(2)
    except KeyboardInterrupt as interrupt:
        there = ", ".join(map(str, placed()))
        with terminal():
            what = f"written before: {there}" if there else "nothing was written"
            error_console.print(escape(f"Interrupted; {what}."), soft_wrap=True, highlight=False)
        sys.exit(128 + (interrupt.number if isinstance(interrupt, Interrupted) else signal.SIGINT))


def _run(arguments: list[str]) -> None:
    commands: dict[str, Any] = {
        "estimate": Estimate,
        "demo": Demo,
        "refine": Refine,
        "angles": Angles,
        "view": View,
        "render": Render,
        "export": Export,
        "models": Models,
        "prepare": Prepare,
        "doctor": Doctor,
        "evaluate": Evaluate,
        "benchmark": Benchmark,
        "compare": Compare,
    }
    if not arguments or arguments[0] not in commands:
        commands["train"] = train_command()
    command = tyro.extras.subcommand_cli_from_dict(
        commands,
        args=arguments,
        prog="repose",
        description="3D human poses from video that stay right where joints are hidden.",
        config=(tyro.conf.CascadeSubcommandArgs,),
    )
    _check_finite(command)
    command.run()


def _check_finite(value: Any, name: str = "") -> None:
    """Refuse NaN and infinity in any option, since comparisons with NaN let it through."""
    if isinstance(value, float) and not math.isfinite(value):
        expected(name, "a finite number", value)
    elif isinstance(value, tuple | list):
        for item in value:
            _check_finite(item, name)
    elif is_dataclass(value):
        for entry in fields(value):
            _check_finite(getattr(value, entry.name), entry.name)
