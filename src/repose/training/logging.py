"""What a training run reports: curves, scores, and a progress bar."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from repose.errors import UserError, needing
from repose.files.output import stage_file
from repose.training.run_folder import CONFIG, SCORES, Scores, read_config, read_scores

SHOWN_EVERY = 20


class TrainingLog:
    """Curves for TensorBoard and, if asked for, Weights & Biases; scores as lines of JSON.

    Silent unless active: one process of a run writes. `wandb` names the project there.
    """

    def __init__(
        self, folder: Path, first: int, steps: int, *, active: bool, wandb: str | None = None
    ) -> None:
        self.active = active
        self.wandb: Any = None
        if not active:
            return
        from torch.utils.tensorboard import SummaryWriter

        self.file = folder / SCORES
        if self.file.exists():
            # A run that was killed may have got beyond its last state, and into the middle of a line.
            kept = [scores.line() for scores in read_scores(folder) if scores.step <= first]
            with stage_file(self.file) as partial:
                partial.write_bytes(b"".join(kept))
        self.writer = SummaryWriter(str(folder), purge_step=first)
        if wandb is not None:
            self.wandb = import_wandb().init(
                project=wandb,
                name=folder.name,
                dir=str(folder),
                config=read_config(folder),
                # The same after --resume.
                id=f"{folder.name}-{(folder / CONFIG).stat().st_mtime_ns:x}",
                resume="allow",
            )
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.progress = Progress(*columns)
        self.task = self.progress.add_task("training", total=steps, completed=first)

    def __enter__(self) -> "TrainingLog":
        if self.active:
            self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.active:
            self.progress.stop()
            self.writer.close()
        if self.wandb:
            self.wandb.finish()

    def advance(self) -> None:
        """Advance the progress by one step."""
        if self.active:
            self.progress.advance(self.task)

    def curves(self, step: int, values: Mapping[str, Tensor | float]) -> None:
        """Log losses and the like of one step; meant for every `SHOWN_EVERY`-th."""
        if self.active:
            self._write("train", step, {name: float(value) for name, value in values.items()})
            self.progress.update(self.task, description=f"loss {float(values['loss']):.4f}")

    def scores(self, step: int, scores: Mapping[str, float]) -> None:
        if not self.active:
            return
        self._write("validation", step, scores)
        try:
            with self.file.open("ab") as file:
                file.write(Scores(step, dict(scores)).line())
        except OSError as error:
            raise UserError(
                f"{self.file}: cannot be written: {error.strerror}",
                "Free some disk space, then continue with --resume.",
            ) from None
        shown = ", ".join(f"{name.replace('_mm', '')} {value:.1f}" for name, value in scores.items())
        self.progress.console.print(f"step {step}: {shown} (mm)")

    def flush(self) -> None:
        """Put the curves on disk, so that they reach as far as the state that is saved next."""
        self.writer.flush()

    def _write(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(f"{kind}/{name}", value, step)
        if self.wandb:
            self.wandb.log({f"{kind}/{name}": value for name, value in values.items()}, step=step)


def import_wandb() -> Any:
    """Import wandb; raises UserError that says how to get it."""
    with needing("--wandb needs wandb", "pip install wandb"):
        return import_module("wandb")
