"""All settings of a run, and the learning rate that they ask for at a step."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from repose.datasets.clips import StoreConfig
from repose.errors import Within, check_ranges, expected
from repose.losses import LossWeights
from repose.models.inference import Precision
from repose.synthetic.motions import SyntheticConfig


@dataclass(frozen=True)
class TrainConfig:
    """All settings of a run. Each run saves them in its folder."""

    model: str = "frameformer"
    """Model: name of a registered one (`repose models`), for motion, one that takes camera rays; for a store,
    any other."""
    initial: Path | None = None
    """Checkpoint to start from, of this model or the same without feet, or packaged weights (`default`)."""
    frames: Annotated[int | None, Within(1, 10_000)] = None
    """Frames of a window, where they are to differ from the model's."""
    skeleton: Annotated[str | None, tyro.conf.arg(name="target-skeleton")] = None
    """Skeleton to learn, where it is to differ from the model's."""
    root_relative: bool | None = None
    """Whether joints are relative to the root, where this is to differ from the model's."""
    data: tyro.conf.AvoidSubcommands[SyntheticConfig | StoreConfig] = field(default_factory=SyntheticConfig)
    losses: LossWeights = field(default_factory=LossWeights)
    steps: Annotated[int, Within(1, 10**9)] = 10_000
    epochs: Annotated[int | None, Within(1, 100_000)] = None
    """Passes over a store, in place of steps."""
    batch: Annotated[int, Within(1, 100_000)] = 32
    """Clips a step, over all devices."""
    accumulate: Annotated[int, Within(1, 100_000)] = 1
    """Parts that a device computes its clips in, one after the other: less memory, the same step."""
    optimizer: Literal["adamw", "adam-amsgrad"] = "adamw"
    """Adam with decoupled weight decay, or the AMSGrad form of Adam without any."""
    learning_rate: Annotated[float, Within(0, 10)] = 1e-3
    beta2: Annotated[float, Within(0, 0.999_999)] = 0.98
    """How much of the mean squared gradient stays from one step to the next."""
    weight_decay: Annotated[float, Within(0, 100)] = 0.01
    decay_vectors: bool = False
    """Let biases and normalisations decay, too, as the published programs do."""
    schedule: Literal["cosine", "trapezoid", "exponential"] = "cosine"
    """Fall of the learning rate: to 0 along a cosine, in a line at the end, or by a factor after each
    epoch."""
    warmup_steps: Annotated[int, Within(0, 10**9)] = 200
    """Steps in which the rate rises linearly before it falls to 0."""
    cooldown: Annotated[float, Within(0.01, 1)] = 0.4
    """Last part of the steps, in which the trapezoid falls. What was learned before is kept as
    `plateau.safetensors`, to go on from for longer (`initial`)."""
    epoch_decay: Annotated[float, Within(0, 1)] = 0.99
    """Factor of the exponential schedule."""
    clip_norm: Annotated[float | None, Within(0, 1e6)] = 1.0
    """Largest norm of the gradient."""
    seed: Annotated[int, Within(0, 2**32 - 1)] = 0
    """Seed: another one gives other weights to begin with, and other batches."""
    validate_every: Annotated[int, Within(1, 10**9)] = 500
    """Steps, or epochs where these are given."""
    save_every: Annotated[int, Within(1, 10**9)] = 200
    """Steps between states to resume from."""
    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    devices: Annotated[int, Within(1, 1024)] = 1
    nodes: Annotated[int, Within(1, 1024)] = 1
    precision: Precision = "float32"
    """Precision of the computation; sums and weights stay float32 with bfloat16."""
    tf32: bool = False
    """Let GPUs multiply float32 numbers of 10 bits (TensorFloat-32): faster, and a little less exact."""
    compile: bool = False
    """Compile the model (`torch.compile`): minutes once, then faster steps."""
    recompute: bool = False
    """Take less memory by computing some of the forward pass again (DSTformer alone; same results)."""
    workers: Annotated[int, Within(0, 256)] = 1
    """Processes that work at once, making batches ahead; 0 makes them in the loop."""
    wandb: str | None = None
    """Project at Weights & Biases that receives the curves, too."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.batch % (self.devices * self.nodes):
            expected("batch", f"a multiple of the {self.devices * self.nodes} devices", self.batch)
        own = self.batch // (self.devices * self.nodes)
        if own % self.accumulate:
            expected("accumulate", f"a divisor of a device's {own} clips", self.accumulate)
        if isinstance(self.data, SyntheticConfig) and self.epochs is not None:
            expected("epochs", "a store, which is finite", "motion, which is endless", "Use --steps.")
        if self.epochs is None and self.schedule == "exponential":
            expected("schedule", "a number of epochs for the exponential schedule", "none", "Use --epochs.")


def learning_rate(config: TrainConfig, step: int, steps: int, epoch: int) -> float:
    if config.schedule == "exponential":
        return config.learning_rate * config.epoch_decay**epoch
    if config.schedule == "trapezoid":
        rise = (step + 1) / max(1, config.warmup_steps)
        return config.learning_rate * min(1.0, rise, (steps - step) / (config.cooldown * steps))
    return config.learning_rate * schedule(step, config.warmup_steps, steps)


def cooldown_begins(config: TrainConfig, done: int, steps: int) -> bool:
    return config.schedule == "trapezoid" and done == steps - round(config.cooldown * steps)


def schedule(step: int, warmup: int, steps: int) -> float:
    """Compute the share of the learning rate at a step: linear warm-up, then a cosine down to 0."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
