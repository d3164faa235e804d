"""The training loop: read it from top to bottom in `train`.

Every batch is a function of seed and step, and the random state is reset at every step, so a run
that was killed and resumed takes the same steps as one that never stopped.
"""

import logging
import math
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from repose.datasets.clips import StoreClips, StoreConfig
from repose.errors import UserError, expected
from repose.files.output import stage_file
from repose.losses import projection_2d, total_loss
from repose.models import Lifted, ModelSpec, PoseModel, build, find_spec, packaged_weights
from repose.models.checkpoint import save_checkpoint
from repose.models.recompute import recompute, release_memory
from repose.synthetic.motions import Batch, SyntheticClips
from repose.training.logging import SHOWN_EVERY, TrainingLog, import_wandb
from repose.training.run_folder import (
    FABRIC_PRECISION,
    STATE,
    as_json,
    check_folder,
    describe_run,
    load_initial,
    restore,
    save_state,
    save_tensors,
    versions,
)
from repose.training.train_config import TrainConfig, cooldown_begins, learning_rate
from repose.training.validation import StoreValidation, Validation, share_out

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def train(config: TrainConfig, folder: Path, *, resume: bool = False) -> Path:
    """Train a model and return the path of its checkpoint, `folder/model.safetensors`.

    The folder receives `config.json` (the configuration, versions and commit), `state.pt` (to resume
    from), TensorBoard curves, `validation.jsonl`, `best.safetensors` (lowest validation error: P-MPJPE
    with detector-like noise, or MPJPE on a store's test split) and `model.safetensors` (the last).
    Killed or interrupted at any point, the folder holds the state last saved, from which `resume` goes on.

    With several devices the program starts itself once more for each (`python script` or `python -m
    module`, with the same arguments), so what runs before this call runs in each of them.

    Args:
        config: all settings of the run.
        folder: the run's folder.
        resume: continue the run in `folder`.

    Raises:
        UserError: a run in the folder without `resume`; none, or one with another configuration, with
            it; data that do not suit the model; an initial checkpoint of another model; an unavailable
            device; and a loss that is not finite.
    """
    fabric = choose_devices(config)
    if fabric.is_global_zero:
        check_folder(folder, config, TrainConfig(), resume=resume)
    torch.manual_seed(config.seed)
    model = make_model(config)
    data = open_data(config, model, fabric.global_rank, fabric.world_size)
    if isinstance(data, SyntheticClips):
        validation: Validation | StoreValidation = Validation(data)
    else:
        validation = StoreValidation(data)
    steps, period = config.steps, lambda step: step  # what is counted, for the rate and for validation
    if isinstance(data, StoreClips) and config.epochs is not None:
        steps, period = data.steps(config.epochs), data.epoch
    # All that the user can get wrong is behind us: one process has said so, before there are several.
    if fabric.is_global_zero:
        describe_run(folder, config)
    fabric.launch()

    layout = model.spec.layout
    optimizer = make_optimizer(model, config)
    compiled = cast(torch.nn.Module, torch.compile(model)) if config.compile else model
    model_on_device, optimizer = fabric.setup(compiled, optimizer)
    first, best = restore(folder / STATE, model, optimizer) if resume else (0, math.inf)

    with TrainingLog(folder, first, steps, active=fabric.is_global_zero, wandb=config.wandb) as log:
        loader = batches(data, first, steps, config.workers, pinned=fabric.device.type == "cuda")
        finite = FiniteCheck(folder, fabric.global_rank)
        for step, batch in zip(range(first, steps), loader, strict=False):
            finite.check()  # of the step before: to look at once would let a GPU wait for every batch
            torch.manual_seed(config.seed * 1_000_003 + step)
            rate = learning_rate(config, step, steps, period(step))
            for group in optimizer.param_groups:
                group["lr"] = rate

            keypoints, target, confidence, known = fabric.to_device(
                (batch.keypoints, batch.target, batch.confidence, batch.known)
            )
            optimizer.zero_grad()
            loss = torch.zeros((), device=fabric.device)
            parts: dict[str, Tensor] = {}
            for part in range(config.accumulate):
                rows = slice(part, None, config.accumulate)
                weight = len(target[rows]) / len(target)  # the last batch of a store may not divide evenly
                if not weight:
                    break
                more = min(config.accumulate, len(target)) - 1 > part
                with fabric.no_backward_sync(model_on_device, enabled=more):
                    predicted = model_on_device(keypoints[rows])
                    if confidence is None:
                        truth = target[rows], config.losses, layout, None if known is None else known[rows]
                        part_loss, part_values = total_loss(predicted, *truth)
                    else:  # x and y alone are known
                        joints = Lifted.of(predicted).joints
                        part_loss = projection_2d(joints, target[rows], confidence[rows])
                        part_values = {"projection_2d": part_loss.detach()}
                    fabric.backward(part_loss * (batch.share * weight))
                loss += part_loss.detach() * weight
                for name, value in part_values.items():
                    parts[name] = parts.get(name, torch.zeros_like(value)) + value * weight
            # The norm is of all devices' gradients together, so all of them stop at the same step.
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm or math.inf)
            finite.next = step, batch, loss, norm
            optimizer.step()
            if config.recompute and fabric.device.type == "cpu":
                release_memory()
            log.advance()
            if step % SHOWN_EVERY == 0:
                # The mean over all devices, as the gradient is.
                own = {name: value * batch.share for name, value in {"loss": loss, **parts}.items()}
                shown = cast(dict[str, Tensor], fabric.all_reduce(own, reduce_op="mean"))
                log.curves(step, {**shown, "rate": rate, "gradient": norm})

            done = step + 1
            last = done == steps
            ended = period(done) > period(step)
            if last or ended or done % config.save_every == 0:
                finite.check()  # nothing is saved or scored of a step that failed
            if last or (ended and period(done) % config.validate_every == 0):
                shared = share_out(model, fabric)
                scores = validation.score(shared, fabric.device)
                spec = trained(model, config, done, scores)
                better = scores[validation.decides] < best
                log.scores(done, scores)
                if better:
                    best = scores[validation.decides]
                if better and fabric.is_global_zero:
                    save_checkpoint(folder / "best.safetensors", model, spec)
                if last and isinstance(validation, Validation):
                    factors = validation.deviation_factors(shared, fabric.device)
                    spec = replace(spec, deviation_factors=factors)
                if last and fabric.is_global_zero:
                    save_checkpoint(folder / "model.safetensors", model, spec)
            if fabric.is_global_zero and cooldown_begins(config, done, steps):
                save_checkpoint(folder / "plateau.safetensors", model, trained(model, config, done, {}))
            if fabric.is_global_zero and (last or done % config.save_every == 0):
                log.flush()
                save_state(folder / STATE, model, optimizer, done, best)
    fabric.barrier()
    return folder / "model.safetensors"


def choose_devices(config: TrainConfig) -> "Fabric":
    """Choose devices and precision of the run; nothing is started yet."""
    try:
        from lightning_fabric import Fabric
        from torch.utils.tensorboard import SummaryWriter  # noqa: F401  the log needs it
    except ImportError as error:
        raise UserError(
            f"training needs {error.name}, which is not installed", "pip install lightning-fabric tensorboard"
        ) from None
    if config.wandb is not None:
        import_wandb()
    # It announces every process it starts.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    try:
        torch.set_float32_matmul_precision("high" if config.tf32 else "highest")
        return Fabric(
            accelerator=config.accelerator,
            devices=config.devices,
            num_nodes=config.nodes,
            precision=FABRIC_PRECISION[config.precision],
            strategy="ddp" if config.devices * config.nodes > 1 else "auto",
        )
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"{config.devices} device(s) of kind {config.accelerator}: not available here ({error})",
            "Choose others with --accelerator and --devices.",
        ) from None


def make_model(config: TrainConfig) -> PoseModel:
    """Create the initial model: fresh, or with the weights of the initial checkpoint.

    Raises UserError where that holds another model.
    """
    spec = find_spec(config.model)
    if config.frames is not None:
        window = {"frames": config.frames} if "frames" in spec.config else {}
        spec = replace(spec.with_config(**window), window_frames=config.frames)
    if config.skeleton is not None:
        spec = replace(spec, skeleton=replace(spec, skeleton=config.skeleton).layout.name)
    if config.root_relative is not None:
        spec = replace(spec, root_relative=config.root_relative)
    model = build(spec)
    if config.initial is not None:
        path = packaged_weights().get(str(config.initial), config.initial)
        initial = load_initial(path, spec)
        if initial.spec.config != spec.config:
            changed = [name for name in spec.config if initial.spec.config.get(name) != spec.config[name]]
            expected(
                f"{config.initial}: {config.model} with {changed[0]}",
                spec.config[changed[0]],
                initial.spec.config.get(changed[0]),
                "Choose the window of the checkpoint with --frames." if changed == ["frames"] else "",
            )
        model.load_state_dict(initial.state_dict())
    if config.recompute:
        recompute(model)
    return model


def open_data(config: TrainConfig, model: PoseModel, rank: int, ranks: int) -> SyntheticClips | StoreClips:
    """Open this process's batches; the model's spec then says what they teach it."""
    place = {"seed": config.seed, "batch": config.batch, "rank": rank, "ranks": ranks}
    if isinstance(config.data, StoreConfig):
        clips = StoreClips(config.data, model.spec, **place)
        model.spec = clips.spec
        return clips
    if model.spec.normalisation != "rays":
        expected(
            f"model {config.model}: input",
            "camera rays",
            model.spec.normalisation,
            "Virtual cameras train models such as frameformer; see `repose models`.",
        )
    layout = model.spec.layout
    return SyntheticClips(config.data, frames=model.spec.window_frames, skeleton=layout, **place)


def make_optimizer(model: PoseModel, config: TrainConfig) -> torch.optim.Optimizer:
    if config.optimizer == "adam-amsgrad":
        return torch.optim.Adam(
            model.parameters(), lr=config.learning_rate, betas=(0.9, config.beta2), amsgrad=True
        )
    if config.decay_vectors:
        groups: list[dict[str, Any]] = [{"params": list(model.parameters())}]
    else:
        groups = [
            {"params": [p for p in model.parameters() if p.ndim >= 2]},
            {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
        ]
    return torch.optim.AdamW(
        groups, lr=config.learning_rate, betas=(0.9, config.beta2), weight_decay=config.weight_decay
    )


def batches(
    data: SyntheticClips | StoreClips, first: int, steps: int, workers: int, *, pinned: bool
) -> Iterator[Batch]:
    loader: DataLoader[Batch] = DataLoader(
        data,
        batch_size=None,
        sampler=range(first, steps),
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        pin_memory=pinned,
    )
    return iter(loader)


class FiniteCheck:
    """Stops the run at a loss or gradient that is not finite, and keeps the batch."""

    def __init__(self, folder: Path, rank: int) -> None:
        self.folder, self.rank = folder, rank
        self.next: tuple[int, Batch, Tensor, Tensor] | None = None
        """Step, batch, loss and norm of the gradient that have not been looked at."""

    def check(self) -> None:
        if self.next is None or torch.isfinite(self.next[3]):
            return
        step, batch, loss, norm = self.next
        bad = self.folder / f"bad-batch-step{step}-rank{self.rank}.pt"
        with stage_file(bad) as partial:
            save_tensors(partial, {name: value for name, value in vars(batch).items() if value is not None})
        raise UserError(
            f"step {step}: expected a finite loss and gradient, found loss {loss.item()}, "
            f"gradient norm {norm.item()}",
            f"The batch is kept in {bad}. Start a new run with a lower --learning-rate.",
        )


def trained(model: PoseModel, config: TrainConfig, step: int, scores: dict[str, float]) -> ModelSpec:
    """Add the record of the training to the model's spec, as it goes into a checkpoint."""
    record = {
        "config": without_folders(config),
        "step": step,
        "validation": {name: round(value, 3) for name, value in scores.items()},
        "versions": versions(),
    }
    return replace(model.spec, training=record)


def without_folders(config: TrainConfig) -> dict[str, Any]:
    """Reduce paths in the configuration to bare names, since folders are private."""
    if config.initial is not None:
        config = replace(config, initial=Path(config.initial.name))
    bare: dict[str, Any] = {}
    for field_ in fields(config.data):
        value = getattr(config.data, field_.name)
        if isinstance(value, Path):
            bare[field_.name] = Path(value.name)
        elif isinstance(value, tuple) and value and isinstance(value[0], Path):
            bare[field_.name] = tuple(Path(path.name) for path in value)
    return as_json(replace(config, data=replace(config.data, **bare)))
