"""The training loop: read it from top to bottom in `train`.

Every batch is a function of seed and step, and the random state is set anew at every step, so a run
that was killed and resumed takes the same steps as one that never stopped.
"""

import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.utils.data import DataLoader

from repose.data.detection import DetectionConfig
from repose.data.synthetic import Batch, MotionBank, SyntheticClips, SyntheticConfig, see
from repose.errors import UserError
from repose.losses import LossWeights, total_loss
from repose.metrics import mpjpe, p_mpjpe
from repose.models import ModelSpec, PoseModel, build
from repose.models.checkpoint import save_checkpoint

if TYPE_CHECKING:
    from lightning_fabric import Fabric

STATE = "state.pt"
CONFIG = "config.json"


@dataclass(frozen=True)
class TrainConfig:
    """Everything that a run depends on. Each run saves it in its folder."""

    model: str = "frameformer"
    """Name of a registered model that takes camera rays (`repose models`)."""
    data: SyntheticConfig = field(default_factory=SyntheticConfig)
    losses: LossWeights = field(default_factory=LossWeights)
    steps: int = 10_000
    batch: int = 32
    """Clips a step, over all devices."""
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup_steps: int = 200
    """Linear; then the rate falls to 0 along a cosine."""
    clip_norm: float = 1.0
    """Largest norm of the gradient."""
    seed: int = 0
    validate_every: int = 500
    save_every: int = 200
    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    devices: int = 1
    nodes: int = 1
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    workers: int = 1
    """Processes that make batches ahead; 0 makes them in the loop."""


def train(config: TrainConfig, folder: Path, *, resume: bool = False) -> Path:
    """Train a model and return the path of its checkpoint, `folder/model.safetensors`.

    The folder receives `config.json` (the configuration, versions and commit), `state.pt` (to resume
    from), TensorBoard curves, `validation.jsonl`, `best.safetensors` (lowest validation P-MPJPE with
    detector-like noise) and `model.safetensors` (the last).

    Raises UserError where the folder holds a run already and `resume` is not set, holds another run's
    configuration, or where a loss stops being finite.
    """
    fabric = launch(config)
    if fabric.is_global_zero:
        claim(folder, config, resume)
    fabric.barrier()

    torch.manual_seed(config.seed)
    model = build(config.model)
    if model.spec.normalisation != "rays":
        raise UserError(
            f"model {config.model}: expected one that takes camera rays, found {model.spec.normalisation!r} input",
            "Virtual cameras train models such as frameformer; see `repose models`.",
        )
    optimizer = torch.optim.AdamW(
        parameter_groups(model, config.weight_decay), lr=config.learning_rate, betas=(0.9, 0.98)
    )
    model_on_device, optimizer = fabric.setup(model, optimizer)
    data = SyntheticClips(
        config.data,
        seed=config.seed,
        batch=config.batch,
        frames=model.spec.window_frames,
        rank=fabric.global_rank,
        ranks=fabric.world_size,
    )
    examination = Examination(data)
    first, best = restore(folder / STATE, model, optimizer) if resume else (0, math.inf)

    with Journal(folder, first, config.steps, active=fabric.is_global_zero) as journal:
        for step, batch in zip(range(first, config.steps), batches(data, first, config), strict=False):
            torch.manual_seed(config.seed * 1_000_003 + step)
            rate = config.learning_rate * schedule(step, config.warmup_steps, config.steps)
            for group in optimizer.param_groups:
                group["lr"] = rate

            keypoints, target_m = fabric.to_device((batch.keypoints, batch.target_m))
            predicted_m = model_on_device(keypoints)
            loss, parts = total_loss(predicted_m, target_m, config.losses)
            if not torch.isfinite(loss):
                bad = folder / f"bad-batch-step{step}-rank{fabric.global_rank}.pt"
                torch.save({"keypoints": batch.keypoints, "target_m": batch.target_m}, bad)
                raise UserError(
                    f"the loss became {loss.item()} at step {step}",
                    f"The batch that made it is {bad}. Lower --learning-rate, or resume with other settings.",
                )
            optimizer.zero_grad()
            fabric.backward(loss)
            norm = fabric.clip_gradients(model_on_device, optimizer, max_norm=config.clip_norm)
            optimizer.step()
            journal.step(step, {"loss": loss.detach(), **parts, "rate": rate, "gradient": norm})

            done = step + 1
            last = done == config.steps
            if fabric.is_global_zero and (last or done % config.validate_every == 0):
                scores = examination.score(model, fabric.device)
                journal.scores(done, scores)
                if scores["noisy_p_mpjpe_mm"] < best:
                    best = scores["noisy_p_mpjpe_mm"]
                    save_checkpoint(folder / "best.safetensors", model, trained(model, config, done, scores))
                if last:
                    save_checkpoint(folder / "model.safetensors", model, trained(model, config, done, scores))
            if fabric.is_global_zero and (last or done % config.save_every == 0):
                save_state(folder / STATE, model, optimizer, done, best)
    fabric.barrier()
    return folder / "model.safetensors"


def launch(config: TrainConfig) -> "Fabric":
    """Start the processes; each runs everything after this line."""
    try:
        from lightning_fabric import Fabric
    except ImportError:
        raise UserError(
            "training needs Lightning Fabric, which is not installed", "pip install 'repose[train]'"
        ) from None
    if config.batch % (config.devices * config.nodes):
        raise UserError(
            f"batch: expected a multiple of the {config.devices * config.nodes} devices, found {config.batch}"
        )
    fabric = Fabric(
        accelerator=config.accelerator,
        devices=config.devices,
        num_nodes=config.nodes,
        precision=config.precision,
        strategy="ddp" if config.devices * config.nodes > 1 else "auto",
    )
    fabric.launch()
    return fabric


def claim(folder: Path, config: TrainConfig, resume: bool) -> None:
    """Make the run's folder its own: refuse another run's, and write down what this run is."""
    description = folder / CONFIG
    wanted = jsonable(asdict(config))
    if description.exists():
        if not resume:
            raise UserError(f"{folder} holds a run already", "Continue it with --resume, or name another folder.")
        found = json.loads(description.read_text())["config"]
        # The number of processes may change between sessions; what is computed may not.
        free = {"accelerator", "devices", "nodes", "workers", "save_every"}
        changed = [key for key in wanted if key not in free and found.get(key) != wanted[key]]
        if changed:
            raise UserError(
                f"{folder} holds a run with another configuration: {', '.join(changed)} differ",
                "Resume with the run's own settings (config.json), or name another folder.",
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    record = {"config": wanted, "versions": versions(), "command": sys.argv}
    write_atomically(description, json.dumps(record, indent=1))


def parameter_groups(model: PoseModel, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay for matrices; none for biases and normalisations."""
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def schedule(step: int, warmup: int, steps: int) -> float:
    """Share of the full learning rate at a step."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def batches(data: SyntheticClips, first: int, config: TrainConfig) -> Iterator[Batch]:
    loader: DataLoader[Batch] = DataLoader(
        data,
        batch_size=None,
        sampler=range(first, config.steps),
        num_workers=config.workers,
        prefetch_factor=4 if config.workers else None,
    )
    return iter(loader)


class Examination:
    """A fixed set of validation clips, the same for every run: clean 2D and detector-like 2D."""

    def __init__(self, data: SyntheticClips, clips: int = 64) -> None:
        generator = torch.Generator().manual_seed(20_240_930)
        motions = [clip.joints_m for clip in data.validation]
        bank = MotionBank.of(motions) if motions else data.procedural
        joints = bank.sample(clips, data.frames, torch.full((clips,), 2.0), generator)
        clean = DetectionConfig(p_clean=1.0, fast_noise=(1e-9, 1e-8), p_unsure=0.0)
        self.batches = {
            "clean": see(joints, data.config.camera, clean, generator),
            "noisy": see(joints, data.config.camera, DetectionConfig(p_clean=0.0), generator),
        }

    def score(self, model: PoseModel, device: torch.device) -> dict[str, float]:
        """Errors in millimetres of a person 1.70 m tall; lost joints apart for the noisy clips."""
        model.eval()
        scores: dict[str, float] = {}
        for name, batch in self.batches.items():
            with torch.inference_mode():
                predicted = model(batch.keypoints.to(device)).float().cpu().numpy()
            target = batch.target_m.numpy()
            flat = (-1, *target.shape[2:])
            scores[f"{name}_mpjpe_mm"] = 1000 * float(mpjpe(predicted.reshape(flat), target.reshape(flat)).mean())
            scores[f"{name}_p_mpjpe_mm"] = 1000 * float(p_mpjpe(predicted.reshape(flat), target.reshape(flat)).mean())
            error = np.linalg.norm(predicted - target, axis=-1)
            lost = batch.keypoints[..., 2].numpy() == 0
            if lost.any():
                scores[f"{name}_lost_mpjpe_mm"] = 1000 * float(error[lost].mean())
        model.train()
        return scores


def trained(model: PoseModel, config: TrainConfig, step: int, scores: dict[str, float]) -> ModelSpec:
    """The model's description with the record of its training, as it goes into a checkpoint."""
    record = {
        "config": jsonable(asdict(config)),
        "step": step,
        "validation": {name: round(value, 3) for name, value in scores.items()},
        "versions": versions(),
    }
    return replace(model.spec, training=record)


def save_state(path: Path, model: PoseModel, optimizer: Any, step: int, best: float) -> None:
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "best": best}
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    os.replace(temporary, path)


def restore(path: Path, model: PoseModel, optimizer: Any) -> tuple[int, float]:
    """Load what `save_state` wrote: the next step and the best score so far. Nothing saved yet: a fresh start."""
    if not path.exists():
        return 0, math.inf
    state = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return state["step"], state["best"]


class Journal:
    """Curves for TensorBoard, scores as lines of JSON, and a progress bar; silent unless active."""

    def __init__(self, folder: Path, first: int, steps: int, *, active: bool) -> None:
        self.active = active
        if not active:
            return
        from torch.utils.tensorboard import SummaryWriter

        self.file = folder / "validation.jsonl"
        self.writer = SummaryWriter(str(folder), purge_step=first)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.progress = Progress(*columns)
        self.task = self.progress.add_task("training", total=steps, completed=first)

    def __enter__(self) -> "Journal":
        if self.active:
            self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.active:
            self.progress.stop()
            self.writer.close()

    def step(self, step: int, values: dict[str, Tensor | float]) -> None:
        if not self.active:
            return
        self.progress.advance(self.task)
        if step % 20 == 0:
            for name, value in values.items():
                self.writer.add_scalar(f"train/{name}", float(value), step)
            self.progress.update(self.task, description=f"loss {float(values['loss']):.4f}")

    def scores(self, step: int, scores: dict[str, float]) -> None:
        for name, value in scores.items():
            self.writer.add_scalar(f"validation/{name}", value, step)
        with self.file.open("a") as file:
            file.write(json.dumps({"step": step, **scores}) + "\n")
        shown = ", ".join(f"{name.replace('_mm', '')} {value:.1f}" for name, value in scores.items())
        self.progress.console.print(f"step {step}: {shown} (mm)")


def versions() -> dict[str, str]:
    """What the run was made with; the commit where it ran from a checkout."""
    try:
        commit = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],
            capture_output=True, text=True, timeout=5, check=True,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        commit = "unknown"
    return {
        "repose": version("repose"),
        "commit": commit,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
    }


def jsonable(value: Any) -> Any:
    """Dataclass dictionaries as JSON will give them back: paths as text, tuples as lists."""
    if isinstance(value, dict):
        return {key: jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def write_atomically(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text)
    os.replace(temporary, path)
