"""The learning rate over a run."""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from repose.training.loop import TrainConfig


def learning_rate(config: "TrainConfig", step: int, steps: int, epoch: int) -> float:
    if config.schedule == "exponential":
        return config.learning_rate * config.epoch_decay**epoch
    if config.schedule == "trapezoid":
        rise = (step + 1) / max(1, config.warmup_steps)
        return config.learning_rate * min(1.0, rise, (steps - step) / (config.cooldown * steps))
    return config.learning_rate * schedule(step, config.warmup_steps, steps)


def cooldown_begins(config: "TrainConfig", done: int, steps: int) -> bool:
    return config.schedule == "trapezoid" and done == steps - round(config.cooldown * steps)


def schedule(step: int, warmup: int, steps: int) -> float:
    """Compute the share of the learning rate at a step: linear warm-up, then a cosine down to 0."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
