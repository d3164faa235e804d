"""What the relational losses do: the same backbone, data, cameras and seeds with and without them.

    python benchmarks/experiment.py train RUNS --mocap MOCAP --backbone frameformer-small --steps 1000
    python benchmarks/experiment.py report RUNS --held-out FOLDER

`train` makes a run for every variant and seed, RUNS/BACKBONE/VARIANT/SEED; runs that are there already are
kept, and one that was interrupted goes on, so the command may be stopped and given again. All runs of a
seed see the same batches. `report` scores each of them on motion that none was trained on and prints how
much every variant differs from the one without relational terms, with 95 % intervals over seeds and clips
(docs/experiment.md).
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from repose.data.synthetic import SyntheticConfig
from repose.losses import LossWeights
from repose.models import find_spec
from repose.train import TrainConfig, train

# Weights of the spatial and the temporal term, and their margin.
VARIANTS: dict[str, tuple[float, float, float]] = {
    "none": (0.0, 0.0, 0.0),
    "published": (0.2, 0.05, 0.0),
    "margin 1": (0.2, 0.05, 1.0),
    "spatial": (0.2, 0.0, 0.0),
    "temporal": (0.0, 0.05, 0.0),
    "published, a tenth": (0.02, 0.005, 0.0),
    "margin 0.5": (0.2, 0.05, 0.5),
    "margin 1, fivefold": (1.0, 0.25, 1.0),
    "spatial, margin 1": (0.2, 0.0, 1.0),
    "temporal, margin 1": (0.0, 0.05, 1.0),
}
SHORT = ("none", "published", "margin 1")
"""For backbones that learn slowly on a CPU."""


def configure(backbone: str, variant: str, seed: int, steps: int, batch: int, mocap: Path) -> TrainConfig:
    spatial, temporal, margin = VARIANTS[variant]
    return TrainConfig(
        model=backbone,
        # Networks with a fixed window take no shorter clips.
        data=SyntheticConfig(mocap=mocap, short_clips=0.0),
        losses=LossWeights(
            position=1.0,
            scale=0.5,
            velocity=4.0,
            spatial_rank=spatial,
            temporal_rank=temporal,
            rank_margin=margin,
        ),
        steps=steps,
        batch=batch,
        warmup_steps=min(100, steps // 5),
        seed=seed,
        validate_every=steps,
        save_every=max(steps // 4, 1),
        precision="bf16-mixed" if find_spec(backbone).architecture == "frameformer" else "32-true",
        workers=0,
    )


def train_all(options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    for seed in range(options.seeds):
        for variant in options.variants or VARIANTS:
            folder = options.runs / options.backbone / variant.replace(" ", "-").replace(",", "") / str(seed)
            if (folder / "model.safetensors").exists():
                continue
            config = configure(options.backbone, variant, seed, options.steps, options.batch, options.mocap)
            print(f"{folder}", flush=True)
            train(replace(config), folder, resume=(folder / "state.pt").exists())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    training = commands.add_parser("train")
    training.add_argument("runs", type=Path)
    training.add_argument("--mocap", type=Path, required=True)
    training.add_argument("--backbone", default="frameformer-small")
    training.add_argument("--variants", nargs="*", choices=VARIANTS)
    training.add_argument("--seeds", type=int, default=3)
    training.add_argument("--steps", type=int, default=1000)
    training.add_argument("--batch", type=int, default=16)
    training.set_defaults(run=train_all)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
