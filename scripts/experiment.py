"""What the relational losses do: the same backbone, data, cameras and seeds with and without them.

    python scripts/experiment.py train RUNS --mocap MOCAP --backbone frameformer-small --steps 1000
    python scripts/experiment.py train RUNS --mocap MOCAP --backbone frameformer --operations 2.5e13
    python scripts/experiment.py report RUNS --motion MOCAP FOLDER... --figure docs/images/experiment.png

`train` makes a run for every variant and seed, RUNS/BACKBONE/VARIANT/SEED; runs that are there already
are kept, and one that was interrupted goes on, so the command may be stopped and given again. All runs of
a seed see the same batches. With `--operations` in place of `--steps`, backbones are compared: each gets
as many steps as so many floating-point operations allow (three times those of the forward pass).

`report` scores each of them on motion that none was trained on (of the CMU pack, the validation
recordings) under conditions of the occlusion benchmark, and prints how much every variant differs from
the one without relational terms: the same clips, cameras, hidden joints and seeds, paired, with 95 %
intervals of a bootstrap over seeds and clips (docs/experiment.md).
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.utils.flop_counter import FlopCounterMode

from repose import palette
from repose.evaluation.conditions import CONDITIONS
from repose.evaluation.models import load_models
from repose.evaluation.occlusion_benchmark import OcclusionBenchmark, predict
from repose.evaluation.scores import of_group
from repose.losses import LossWeights, total_loss
from repose.models import PoseModel, build, find_spec
from repose.skeleton import Skeleton
from repose.synthetic.detector_errors import DetectionConfig
from repose.synthetic.motions import SyntheticConfig
from repose.synthetic.virtual_camera import CameraConfig
from repose.training.loop import train
from repose.training.train_config import TrainConfig


class Variant(NamedTuple):
    spatial: float = 0.0
    """Weight of the relational term over pairs of joints."""
    temporal: float = 0.0
    """Weight of the one over pairs of frames."""
    margin: float = 0.0
    pairs: str = "all"
    """Which of the pairs count: a name in `PAIRS`."""


VARIANTS = {
    "none": Variant(),
    "published": Variant(0.2, 0.05),
    "margin 1": Variant(0.2, 0.05, 1.0),
    "spatial": Variant(0.2, 0.0),
    "temporal": Variant(0.0, 0.05),
    "published, a tenth": Variant(0.02, 0.005),
    "margin 0.5": Variant(0.2, 0.05, 0.5),
    "margin 1, fivefold": Variant(1.0, 0.25, 1.0),
    "spatial, margin 1": Variant(0.2, 0.0, 1.0),
    "temporal, margin 1": Variant(0.0, 0.05, 1.0),
    "published, hidden pairs": Variant(0.2, 0.05, 0.0, "hidden"),
    "margin 1, hidden pairs": Variant(0.2, 0.05, 1.0, "hidden"),
    "published, far pairs": Variant(0.2, 0.05, 0.0, "far"),
    "margin 1, far pairs": Variant(0.2, 0.05, 1.0, "far"),
    "margin 1, near frames": Variant(0.2, 0.05, 1.0, "near"),
}

# Which pairs (…, n, n) count, by their true depth gap in metres, whether each of the two is lost, and how
# far they are apart along the axis.
PAIRS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "all": lambda gap, lost, apart: gap > 0,
    "hidden": lambda gap, lost, apart: (gap > 0) & (lost[..., None] | lost[..., None, :]),
    "far": lambda gap, lost, apart: gap > 0.1,
    "near": lambda gap, lost, apart: (gap > 0) & (apart <= 9),
}

DETECTION = DetectionConfig(p_limb_lost=0.05, p_wrong_place=0.05, wrong_place=(0.03, 0.25), together=0.0)
"""What a detector does to the training clips of the experiment; the default model's guesses go wider now."""


def configure(backbone: str, variant: str, seed: int, steps: int, batch: int, mocap: Path) -> TrainConfig:
    spatial, temporal, margin, _ = VARIANTS[variant]
    return TrainConfig(
        model=backbone,
        # Networks with a fixed window take no shorter clips.
        data=SyntheticConfig(mocap=mocap, short_clips=0.0, camera=CameraConfig(), detection=DETECTION),
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
        precision="bfloat16" if find_spec(backbone).architecture == "frameformer" else "float32",
        workers=0,
    )


@contextmanager
def chosen_pairs(pairs: str) -> Iterator[None]:
    """Within it, training charges these pairs alone, written out as tables of n × n.

    The package has no such option: it would be one if it had helped.
    """
    if pairs == "all":
        yield
        return
    lost = torch.empty(0)

    def look(model: torch.nn.Module, inputs: tuple[Tensor, ...]) -> None:
        nonlocal lost
        if isinstance(model, PoseModel):
            lost = inputs[0][..., 2] == 0

    def total(
        output: Tensor, target: Tensor, weights: LossWeights, skeleton: Skeleton, known: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        others = replace(weights, spatial_rank=0.0, temporal_rank=0.0)
        loss, parts = total_loss(output, target, others, skeleton, known)
        depths = output[..., 2].float(), target[..., 2], lost
        spatial = rank(*depths, weights.rank_margin, pairs if pairs != "near" else "all")
        temporal = rank(*(x.transpose(1, 2) for x in depths), weights.rank_margin, pairs)
        loss = loss + weights.spatial_rank * spatial + weights.temporal_rank * temporal
        return loss, parts | {"spatial_rank": spatial.detach(), "temporal_rank": temporal.detach()}

    watching = register_module_forward_pre_hook(look)
    with patch("repose.training.loop.total_loss", total):
        try:
            yield
        finally:
            watching.remove()


def rank(predicted: Tensor, target: Tensor, lost: Tensor, margin: float, pairs: str) -> Tensor:
    """The relational loss over the chosen pairs along the last axis, a mean over these."""
    gap = target[..., None, :] - target[..., None]
    place = torch.arange(target.shape[-1])
    kept = PAIRS[pairs](gap, lost, (place[:, None] - place).abs())
    charge = (predicted[..., None] - predicted[..., None, :] + margin * gap).relu()
    # Half of all pairs are in order i, j: so the weights mean what they mean for all pairs.
    return 0.5 * (charge * kept).sum() / kept.sum().clamp(min=1)


def forward_operations(backbone: str) -> float:
    """Floating-point operations of lifting one frame, of a window."""
    model = build(backbone).eval()
    frames = model.spec.window_frames
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.rand(1, frames, 17, 3))
    return counter.get_total_flops() / frames


def train_all(options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    if options.operations:
        frames = options.operations / (3 * forward_operations(options.backbone))
        clip = find_spec(options.backbone).window_frames
        options.steps = round(frames / (options.batch * clip))
        print(f"{options.backbone}: {frames:,.0f} frames, {options.steps} steps", flush=True)
    for seed in range(options.seeds):
        for variant in options.variants or VARIANTS:
            folder = options.runs / options.backbone / short(variant) / str(seed)
            if (folder / "model.safetensors").exists():
                continue
            config = configure(options.backbone, variant, seed, options.steps, options.batch, options.mocap)
            print(f"{folder}", flush=True)
            with chosen_pairs(VARIANTS[variant].pairs):
                train(config, folder, resume=(folder / "state.pt").exists())


def short(variant: str) -> str:
    """Name of the variant's folder."""
    return variant.replace(" ", "-").replace(",", "")


SEEN_AS = ("detector", "legs lost 40 frames", "own body", "own body, unaware")
METRICS = {
    "hidden": ("p_mpjpe_mm", "hidden"),
    "visible": ("p_mpjpe_mm", "visible"),
    "order of joints, hidden": ("depth_order_joints_percent", "hidden"),
    "order of joints": ("depth_order_joints_percent", "all"),
    "order of frames": ("depth_order_frames_percent", "all"),
    "depth spread": ("depth_spread_percent", "all"),
}
"""Column -> metric of `evaluation.scores.METRICS` (or `spread`), and which joints."""
DRAWS = 2000


def score(model: Path, bench: OcclusionBenchmark) -> dict[str, np.ndarray]:
    """Sums and counts of every column: (clips, 2). All conditions together, one view a clip."""
    (estimator,) = load_models([model], fit=False).values()
    columns: dict[str, np.ndarray] = defaultdict(lambda: np.zeros((len(bench.views), 2)))
    for clip, (view, *_) in enumerate(bench.views):
        for condition in CONDITIONS:
            if condition.label not in SEEN_AS or (seen := condition.observe(view, bench.seed)) is None:
                continue
            prediction = predict(view, seen, estimator, undo_swaps=True)
            sums = prediction.score(view, seen.hidden.numpy())
            for name, (metric, joints) in METRICS.items():
                if metric == "depth_spread_percent":
                    columns[name][clip] += spread(prediction.joints_mm, view.truth_mm)
                else:
                    columns[name][clip] += of_group(sums[metric], joints).sum(axis=-1)
    return dict(columns)


def spread(predicted_mm: np.ndarray, truth_mm: np.ndarray) -> np.ndarray:
    """Deviation of the predicted depths within a frame in percent of that of the true ones: sum and count."""
    ours, true = (joints[..., 2].std(axis=-1) for joints in (predicted_mm, truth_mm))
    return np.array([100 * ours.sum(), true.sum()])


def report(options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    found: list[Difference] = []
    for motion in options.motion:
        bench = OcclusionBenchmark([motion], quick=not options.all)
        for backbone in sorted(path for path in options.runs.iterdir() if path.is_dir()):
            scores: dict[str, list[dict[str, np.ndarray]]] = {}
            for variant in VARIANTS:
                models = sorted((backbone / short(variant)).glob("*/model.safetensors"))
                if models:
                    scores[variant] = [score(model, bench) for model in models]
            if "none" in scores:
                found += show(motion, backbone.name, scores)
    if options.figure:
        draw(found, options.figure)


class Difference(NamedTuple):
    """Of a variant from the one without relational terms, with its interval."""

    backbone: str
    motion: str
    variant: str
    column: str
    mean: float
    low: float
    high: float


def show(motion: Path, backbone: str, scores: dict[str, list[dict[str, np.ndarray]]]) -> list[Difference]:
    """A table in Markdown: means without relational terms, and differences from them."""
    found = []
    clips = len(next(iter(scores["none"][0].values())))
    print(f"\n{backbone}, {motion.name}: {clips} clips, {len(scores['none'])} seeds\n")
    print("| variant | seeds | " + " | ".join(METRICS) + " |")
    print("|---|---|" + "---|" * len(METRICS))
    for variant, runs in scores.items():
        seeds = min(len(runs), len(scores["none"]))
        cells = []
        for name in METRICS:
            ours = np.stack([run[name] for run in runs[:seeds]])
            base = np.stack([run[name] for run in scores["none"][:seeds]])
            if variant == "none":
                cells.append(f"{mean(ours):.1f}")
            else:
                low, high = interval(ours, base)
                difference = mean(ours) - mean(base)
                found.append(Difference(backbone, motion.name, variant, name, difference, low, high))
                cells.append(f"{difference:+.1f} ({low:+.1f} to {high:+.1f})")
        print(f"| {variant} | {seeds} | " + " | ".join(cells) + " |", flush=True)
    return found


def draw(found: list[Difference], path: Path) -> None:
    """Each variant's difference and interval, a panel a column, a colour for each backbone and data set."""
    columns = {"hidden": "hidden joints: mm", "visible": "visible joints: mm", "depth spread": "depth: %"}
    variants = list(dict.fromkeys(d.variant for d in found))
    series = list(dict.fromkeys((d.backbone, d.motion) for d in found))
    figure = Figure(figsize=(11, 1.6 + 0.28 * len(variants) * len(series)), layout="constrained")
    panels = figure.subplots(1, len(columns), sharey=True)
    for panel, (column, title) in zip(panels, columns.items(), strict=True):
        for k, key in enumerate(series):
            rows = [d for d in found if d.column == column and (d.backbone, d.motion) == key]
            y = [variants.index(d.variant) + 0.8 * ((k + 0.5) / len(series) - 0.5) for d in rows]
            x = [d.mean for d in rows]
            spread = [[d.mean - d.low for d in rows], [d.high - d.mean for d in rows]]
            panel.errorbar(
                x,
                y,
                xerr=spread,
                fmt="o",
                ms=5,
                color=palette.MODELS[k % len(palette.MODELS)],
                label=", ".join(key),
            )
        panel.axvline(0, color=palette.INK, lw=0.8)
        panel.set_title(f"{title} more than without", loc="left", fontsize=11)
        panel.grid(axis="x", color=palette.GRID)
        panel.spines[["top", "right", "left"]].set_visible(False)
    panels[0].set_yticks(range(len(variants)), variants)
    panels[0].invert_yaxis()
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path, dpi=120)


def mean(sums: np.ndarray) -> float:
    """Of (seeds, clips, sum and count): the mean over seeds of the mean over clips."""
    total = sums.sum(axis=1)
    return float((total[:, 0] / total[:, 1]).mean())


def interval(ours: np.ndarray, base: np.ndarray) -> tuple[float, float]:
    """95 % interval of the paired difference, seeds and clips drawn with replacement."""
    rng = np.random.default_rng(0)
    seeds, clips = ours.shape[:2]
    draws = []
    for _ in range(DRAWS):
        which = np.ix_(rng.integers(seeds, size=seeds), rng.integers(clips, size=clips))
        draws.append(mean(ours[which]) - mean(base[which]))
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)


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
    training.add_argument("--operations", type=float, help="in place of steps")
    training.add_argument("--batch", type=int, default=16)
    training.set_defaults(run=train_all)
    reporting = commands.add_parser("report")
    reporting.add_argument("runs", type=Path)
    reporting.add_argument("--motion", type=Path, nargs="+", required=True)
    reporting.add_argument("--figure", type=Path, help="PNG")
    reporting.add_argument("--all", action="store_true", help="all of the motion, not some 2500 frames")
    reporting.set_defaults(run=report)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
