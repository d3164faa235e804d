"""The command `repose`: subcommands and their output. The work is done by the other parts."""

import math
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from importlib import import_module
from importlib.metadata import version
from typing import Any

import tyro
from rich.markup import escape

from repose.cli.terminal import Interrupted, console, echo, error_console, terminal
from repose.errors import UserError, expected, without_torch
from repose.files.output import forget_placed, placed

COMMANDS = {
    "estimate": ("poses.Estimate", "Turn a video, or the 2D keypoints of any detector, into 3D poses."),
    "batch": (
        "batch.BatchCommand",
        "Turn many videos into 3D poses, here or on a cluster; goes on where it stopped.",
    ),
    "live": ("live.Live", "Estimate 3D poses from a camera while it films, and show or record them."),
    "demo": ("poses.Demo", "Lift the packaged sample video and compare with its ground truth."),
    "refine": ("refine.Refine", "Clean the motion of a result: no jitter, constant bones, upright."),
    "angles": ("refine.Angles", "Write the joint angles of a result: a table, and a plot for each person."),
    "view": ("view.View", "View a result in the browser, or write it as a single page to share."),
    "page": ("view.Page", "Write the app that lifts videos in the browser, for any web server."),
    "render": ("view.Render", "Render a result: a video next to the 3D view, or a sheet of poses."),
    "export": ("export.Export", "Write a result for other programs: Blender, OpenSim, spreadsheets, ..."),
    "models": ("models.Models", "List the packaged weights, and the architectures."),
    "convert": ("models.Convert", "Write a model as ONNX, for use without PyTorch and in other programs."),
    "prepare": ("datasets.Prepare", "Create a clip store from a data set, for training and evaluation."),
    "doctor": ("datasets.Doctor", "Check a clip store, and draw a sheet of samples for inspection."),
    "train": ("training.train_command", "Train a model from a preset, any value of which can be overridden."),
    "evaluate": ("datasets.Evaluate", "Score a model on a prepared data set."),
    "benchmark": ("benchmark.Benchmark", "Measure models where joints are hidden."),
    "compare": ("training.Compare", "Compare training runs."),
}
"""Where each command is, and what `repose --help` says of it. It is imported when it is called: the help of
all commands needs none of them."""

FORMER_OPTIONS = {
    "evaluate": {"--plot": "--figure"},
    "export": {"--model": "--osim"},
    "prepare": {"--cameras": "--views"},
    "refine": {"one-euro": "low-pass"},
    "render": {"--height": "--height-px", "--frames": "--sheet-frames"},
    "train": {
        "--skeleton": "--target-skeleton",
        "32-true": "float32",
        "bf16-mixed": "bfloat16",
    },
}
"""Command -> option or value in version 0.1 -> what it is now. To go in 0.3."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line.

    Errors that the user can mend end it with exit code 2, interrupts with 128 and the signal's number.
    """
    forget_placed()
    try:
        with terminal():
            try:
                _run(sys.argv[1:] if arguments is None else arguments)
            except ModuleNotFoundError as error:
                raise without_torch(error, "this command") from None
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
    if arguments == ["--version"]:
        echo(f"repose {version('repose3d')}")
        return
    config = (tyro.conf.CascadeSubcommandArgs,)
    if arguments and arguments[0] in COMMANDS:
        name = arguments[0]
        command: Any = tyro.cli(
            load_command(name),
            args=understand_former_names(name, arguments[1:]),
            prog=f"repose {name}",
            config=config,
        )
        _check_finite(command)
        command.run()
        return
    whole = any(argument.startswith("--tyro-") for argument in arguments)  # completions of the shell
    tyro.extras.subcommand_cli_from_dict(
        {name: load_command(name) if whole else _summary(text) for name, (_, text) in COMMANDS.items()},
        args=arguments,
        prog="repose",
        description="3D human poses from video that stay accurate where joints are hidden. "
        "`repose --version` prints the version.",
        config=config,
    )


def understand_former_names(command: str, arguments: list[str]) -> list[str]:
    """Return the command's arguments with present names in place of former ones; warn of each."""
    former = FORMER_OPTIONS.get(command, {})
    present = []
    for argument in arguments:
        parts = argument.split("=", 1)
        for name in filter(former.__contains__, parts):
            error_console.print(
                f"[yellow]Warning:[/] {name} of repose {command} is called {former[name]} now; the former "
                "name will not be understood from version 0.3 on.",
                soft_wrap=True,
                highlight=False,
            )
        present.append("=".join(former.get(part, part) for part in parts))
    return present


__all__ = ["COMMANDS", "console", "load_command", "main"]


def load_command(name: str) -> type:
    """Return the class of a command, of which tyro makes the options."""
    if name != "train":
        # Matrices are small here: other threads wait busily (0.5 s of 2 for a short clip), and make the fit's
        # narrow systems many times as slow. To be said before NumPy and SciPy are imported.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    module, _, attribute = COMMANDS[name][0].partition(".")
    found = getattr(import_module(f"repose.cli.{module}"), attribute)
    return found if isinstance(found, type) else found()


def _summary(text: str) -> Callable[[], None]:
    """Return a placeholder for a command, with only its summary."""

    def command() -> None: ...

    command.__doc__ = text
    return command


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
