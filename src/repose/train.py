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
from repose.data.procedural import ProceduralConfig, make_motion
from repose.data.synthetic import Batch, MotionBank, SyntheticClips, SyntheticConfig, see
from repose.errors import UserError, expected
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

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "validate_every", "save_every", "devices", "nodes"):
            if getattr(self, name) < 1:
                expected(name, "1 or more", getattr(self, name))
        if self.batch % (self.devices * self.nodes):
            expected("batch", f"a multiple of the {self.devices * self.nodes} devices", self.batch)


def train(config: TrainConfig, folder: Path, *, resume: bool = False) -> Path:
    """Train a model and return the path of its checkpoint, `folder/model.safetensors`.

    The folder receives `config.json` (the configuration, versions and commit), `state.pt` (to resume
    from), TensorBoard curves, `validation.jsonl`, `best.safetensors` (lowest validation P-MPJPE with
    detector-like noise) and `model.safetensors` (the last).

    With several devices the program starts itself once more for each (`python script` or `python -m
    module`, with the same arguments), so what runs before this call runs in each of them.

    Raises UserError where the folder holds a run already and `resume` is not set, where it holds none
    or one of another configuration and `resume` is set, for a model that takes no camera rays, a device
    that is not there, and where a loss stops being finite. Killed or interrupted at any point, the
    folder holds the state last saved, from which `resume` goes on.
    """
    fabric = choose_devices(config)
    if fabric.is_global_zero:
        check_folder(folder, config, resume)
    torch.manual_seed(config.seed)
    model = build(config.model)
    if model.spec.normalisation != "rays":
        expected(
            f"model {config.model}: input",
            "camera rays",
            model.spec.normalisation,
            "Virtual cameras train models such as frameformer; see `repose models`.",
        )
    data = SyntheticClips(
        config.data,
        seed=config.seed,
        batch=config.batch,
        frames=model.spec.window_frames,
        rank=fabric.global_rank,
        ranks=fabric.world_size,
    )
    # All that the user can get wrong is behind us: one process has said so, before there are several.
    if fabric.is_global_zero:
        describe_run(folder, config)
    fabric.launch()

    optimizer = torch.optim.AdamW(
        parameter_groups(model, config.weight_decay), lr=config.learning_rate, betas=(0.9, 0.98)
    )
    model_on_device, optimizer = fabric.setup(model, optimizer)
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
            optimizer.zero_grad()
            fabric.backward(loss)
            # The norm is of all devices' gradients together, so all of them stop at the same step.
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
            if not torch.isfinite(norm):
                bad = folder / f"bad-batch-step{step}-rank{fabric.global_rank}.pt"
                torch.save({"keypoints": batch.keypoints, "target_m": batch.target_m}, bad)
                raise UserError(
                    f"step {step}: expected a finite loss and gradient, found loss {loss.item()}, "
                    f"gradient norm {norm.item()}",
                    f"The batch is kept in {bad}. Start anew elsewhere with a lower --learning-rate.",
                )
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
                journal.flush()
                save_state(folder / STATE, model, optimizer, done, best)
    fabric.barrier()
    return folder / "model.safetensors"


def choose_devices(config: TrainConfig) -> "Fabric":
    """Devices and precision of the run; nothing is started yet."""
    try:
        from lightning_fabric import Fabric
        from torch.utils.tensorboard import SummaryWriter  # noqa: F401  the journal needs it
    except ImportError as error:
        raise UserError(
            f"training needs {error.name}, which is not installed", "pip install lightning-fabric tensorboard"
        ) from None
    try:
        return Fabric(
            accelerator=config.accelerator,
            devices=config.devices,
            num_nodes=config.nodes,
            precision=config.precision,
            strategy="ddp" if config.devices * config.nodes > 1 else "auto",
        )
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"{config.devices} device(s) of kind {config.accelerator}: not available here ({error})",
            "Choose others with --accelerator and --devices.",
        ) from None


def check_folder(folder: Path, config: TrainConfig, resume: bool) -> None:
    """Refuse a folder that holds another run, or one to resume that holds none."""
    description = folder / CONFIG
    if not description.exists():
        if resume:
            raise UserError(f"{folder} holds no run to resume", "Check the path, or start without --resume.")
        return
    if not resume:
        raise UserError(f"{folder} holds a run already", "Continue it with --resume, or name another folder.")
    found = flatten(json.loads(description.read_text())["config"])
    wanted = flatten(as_json(config))
    # The number of processes may change between sessions; what is computed may not.
    free = {"accelerator", "devices", "nodes", "workers", "save_every"}
    for name in sorted((found.keys() | wanted.keys()) - free):
        if found.get(name) != wanted.get(name):
            expected(
                f"{folder} holds a run with another configuration: {name}",
                found.get(name),
                wanted.get(name),
                f"Resume with the run's own settings ({CONFIG}), or name another folder.",
            )


def describe_run(folder: Path, config: TrainConfig) -> None:
    """Write down what the run is, unless it was written when the run began."""
    description = folder / CONFIG
    if description.exists():
        return
    record = {"config": as_json(config), "versions": versions(), "command": sys.argv}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(description, json.dumps(record, indent=1))
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {error.strerror}", "Name another folder.") from None


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
        if not motions:  # procedural motion that no run trains on
            motions = list(make_motion(ProceduralConfig(clips=clips // 2), seed=20_240_930))
        joints = MotionBank.of(motions).sample(clips, data.frames, torch.full((clips,), 2.0), generator)
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
            poses, truth = (array.reshape(-1, *array.shape[2:]) for array in (predicted, target))
            scores[f"{name}_mpjpe_mm"] = 1000 * float(mpjpe(poses, truth).mean())
            scores[f"{name}_p_mpjpe_mm"] = 1000 * float(p_mpjpe(poses, truth).mean())
            error = np.linalg.norm(predicted - target, axis=-1)
            lost = batch.keypoints[..., 2].numpy() == 0
            if lost.any():
                scores[f"{name}_lost_mpjpe_mm"] = 1000 * float(error[lost].mean())
        model.train()
        return scores


def trained(model: PoseModel, config: TrainConfig, step: int, scores: dict[str, float]) -> ModelSpec:
    """The model's description with the record of its training, as it goes into a checkpoint."""
    if config.data.mocap:  # Where it lay on this machine is nobody else's business.
        config = replace(config, data=replace(config.data, mocap=Path(config.data.mocap.name)))
    record = {
        "config": as_json(config),
        "step": step,
        "validation": {name: round(value, 3) for name, value in scores.items()},
        "versions": versions(),
    }
    return replace(model.spec, training=record)


def save_state(path: Path, model: PoseModel, optimizer: Any, step: int, best: float) -> None:
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "best": best}
    temporary = path.with_name(path.name + ".tmp")
    try:
        torch.save(state, temporary)
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
        temporary.unlink(missing_ok=True)
        raise UserError(
            f"{path}: cannot be written: {error}", "Make room, then go on with --resume."
        ) from None


def restore(path: Path, model: PoseModel, optimizer: Any) -> tuple[int, float]:
    """Load what `save_state` wrote: the next step and the best score so far.

    A run that was killed before its first save starts afresh.
    """
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
        if self.file.exists():
            # A run that was killed may have got beyond its last state, and into the middle of a line.
            lines = [line for line in self.file.read_text().splitlines(keepends=True) if line.endswith("\n")]
            kept = [line for line in lines if json.loads(line)["step"] <= first]
            write_atomically(self.file, "".join(kept))
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

    def flush(self) -> None:
        """Put the curves on disk, so that they reach as far as the state that is saved next."""
        self.writer.flush()


def versions() -> dict[str, str]:
    """What the run was made with; the commit where it ran from a checkout."""
    try:
        commit = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
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


def as_json(config: TrainConfig) -> dict[str, Any]:
    """The configuration as JSON will give it back: paths as text, tuples as lists."""
    return json.loads(json.dumps(asdict(config), default=str))


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries as one, with keys such as `data.camera.roll_sigma_deg`."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def write_atomically(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text)
    os.replace(temporary, path)
