"""`repose train` and `repose compare`."""

import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from repose.cli.terminal import (
    Folder,
    Interrupted,
    Modules,
    ReportFiles,
    console,
    echo,
    error_console,
    import_modules,
    show_report,
    wanted_files,
)


def train_command() -> type:
    """Create the command `train`, on demand because its presets take a while to import."""
    from repose.training.loop import train
    from repose.training.presets import PRESETS

    presets = tyro.extras.subcommand_type_from_defaults(PRESETS, prefix_names=False)

    @dataclass(frozen=True)
    class Train:
        """Train a model from a preset, any value of which can be overridden.

        Presets for a data set need a store of it (`repose prepare`): --data.store STORE.
        """

        config: Annotated[presets, tyro.conf.arg(name="", help="Preset to start from.")]  # type: ignore[valid-type]
        out: Folder
        """Folder for the results: configuration, curves, checkpoints."""
        resume: bool = False
        """Continue the run in this folder."""
        imports: Modules = ()
        """Modules that register your own models; the current folder is searched, too."""

        def run(self) -> None:
            # With several devices this runs once in each process; one of them speaks.
            console.quiet = error_console.quiet = os.environ.get("LOCAL_RANK", "0") != "0"
            import_modules(self.imports)
            try:
                model = train(self.config, self.out, resume=self.resume)
            except KeyboardInterrupt as interrupt:
                error_console.print(f"Interrupted. Continue with the same command and --resume ({self.out}).")
                sys.exit(128 + (interrupt.number if isinstance(interrupt, Interrupted) else signal.SIGINT))
            echo(f"Model: {model}. Curves: tensorboard --logdir {self.out}")

    return Train


@dataclass(frozen=True)
class Compare(ReportFiles):
    """Compare training runs; runs that differ only in their seed are one row."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of runs. The others are compared with the first one's row, paired by seed."""
    label: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Name in the results, one for each row in the order of their first runs; default: what differs."""

    def run(self) -> None:
        from repose.training.comparison import compare

        files = wanted_files(self)
        show_report(compare(self.runs, self.label), files)
