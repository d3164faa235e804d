"""The pre-registered experiment of docs/experiment.md: do the relational losses help where joints are hidden?

    python scripts/preregistered.py RUNS --mocap MOCAP --motion UNSEEN --markdown TABLE.md

One command trains every run (form, weight, window, seed), scores it, and writes the table of what is there;
runs that are there already are kept, and one that was interrupted goes on, so it may be stopped and given
again, over as many sittings as it takes. Runs come seed by seed, so that every finished seed is a whole
experiment. `--report-only` trains nothing. The published sizes take the same command on a GPU:

    python scripts/preregistered.py RUNS --mocap MOCAP --motion UNSEEN --backbone repose-cropped \\
        --frames 243 --accelerator cuda --workers 8
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from experiment import METRICS, VARIANTS, Variant, chosen_pairs, configure, interval, mean, score
from scipy.stats import t

from repose.evaluation.occlusion_benchmark import OcclusionBenchmark
from repose.training.loop import train
from repose.training.train_config import TrainConfig

WEIGHTS = (0.01, 0.1, 1.0, 10.0)
"""Of both relational terms. At 1, a joint that is out of order with all others is pulled as strongly by order
as by position, in any unit."""
CLIPS_FRAMES = 2048
"""Frames of a step, in clips of whichever window."""
TUNING_SHARE, TUNING_RATE = 0.1, 0.1
"""Of the steps and of the learning rate of the run that a finetuned one goes on from."""
PRIMARY = "hidden"
LONG_HIDDEN = {
    "p_joint_lost": 0.2,
    "joint_lost_frames": (15, 120),
    "p_limb_lost": 0.25,
    "limb_lost_frames": (15, 120),
    "p_limb_gone": 0.2,
}
"""What hides joints for long in training clips: the claim is about hidden joints."""


class Arm(NamedTuple):
    """What one run does, in a folder of this name."""

    form: str
    weight: float = 0.0
    margin: float = 0.0
    tuned: bool = False
    """Goes on from the run without terms of the same seed and window, with pairs that have a hidden joint."""

    @property
    def name(self) -> str:
        return f"{self.form} {self.weight:g}" if self.weight else self.form

    @property
    def folder(self) -> str:
        return self.name.replace(" ", "-").replace(",", "")

    @property
    def base(self) -> str:
        """The arm that it is compared with: as long, without relational terms."""
        return "tuned without" if self.tuned else "none"


NONE, TUNED = Arm("none"), Arm("tuned without", tuned=True)
FORMS = {
    "published": (0.0, False),
    "margin": (1.0, False),
    "tuned, published": (0.0, True),
    "tuned, margin": (1.0, True),
}
"""Form of the terms -> share of the gap, and whether it is for a network that has converged."""
ARMS = [
    NONE,
    *(Arm(form, weight, *how) for form, how in FORMS.items() if not how[1] for weight in WEIGHTS),
    TUNED,
    *(Arm(form, weight, *how) for form, how in FORMS.items() if how[1] for weight in WEIGHTS),
]
"""In an order in which what is gone on from comes first."""


class Run(NamedTuple):
    arm: Arm
    frames: int
    seed: int
    folder: Path


def all_runs(options: argparse.Namespace) -> Iterator[Run]:
    for seed in range(options.seeds):
        for frames in options.frames:
            for arm in ARMS:
                place = options.runs / f"{options.backbone}-{frames}" / arm.folder / str(seed)
                yield Run(arm, frames, seed, place)


def settings(run: Run, options: argparse.Namespace) -> TrainConfig:
    steps = max(round(options.steps * TUNING_SHARE), 1) if run.arm.tuned else options.steps
    batch = options.batch or max(round(CLIPS_FRAMES / run.frames), 1)
    config = configure(options.backbone, "none", run.seed, steps, batch, options.mocap)
    data = replace(config.data, detection=replace(config.data.detection, **LONG_HIDDEN))
    weight, margin = run.arm.weight, run.arm.margin
    losses = replace(config.losses, spatial_rank=weight, temporal_rank=weight, rank_margin=margin)
    changes = {"initial": run.folder.parents[1] / NONE.folder / str(run.seed) / "model.safetensors"}
    changes |= {"learning_rate": TUNING_RATE * config.learning_rate}
    return replace(
        config,
        data=data,
        losses=losses,
        frames=run.frames,
        accelerator=options.accelerator,
        workers=options.workers,
        **(changes if run.arm.tuned else {}),
    )


def train_all(options: argparse.Namespace) -> None:
    for run in all_runs(options):
        if (run.folder / "model.safetensors").exists():
            continue
        print(run.folder, flush=True)
        weight = run.arm.weight
        VARIANTS["this run"] = Variant(weight, weight, run.arm.margin, "hidden" if run.arm.tuned else "all")
        with chosen_pairs(VARIANTS["this run"].pairs if weight else "all"):
            train(settings(run, options), run.folder, resume=(run.folder / "config.json").exists())


def scores_of(run: Run, bench: OcclusionBenchmark) -> dict[str, np.ndarray]:
    """Sums and counts of every column: (clips, 2). Kept beside the run, since they take a while."""
    kept = run.folder / f"scores-{bench.motion[0]}-{len(bench.views)}.npz"
    if not kept.exists():
        np.savez(kept, **score(run.folder / "model.safetensors", bench))
    with np.load(kept) as arrays:
        return dict(arrays)


class Row(NamedTuple):
    """An arm's difference from the one without terms."""

    form: str
    weight: float
    frames: int
    seeds: int
    means: dict[str, float]
    """Column -> mean over seeds."""
    differences: dict[str, tuple[float, float, float]]
    """Column -> difference and its 95 % interval."""
    p: float
    """Of the primary column, two-sided."""
    error: float
    """Standard error of the primary column's difference."""


def compare(options: argparse.Namespace, bench: OcclusionBenchmark) -> list[Row]:
    rows = []
    runs = [run for run in all_runs(options) if (run.folder / "model.safetensors").exists()]
    for frames in options.frames:
        found: dict[str, dict[int, dict[str, np.ndarray]]] = {}
        for run in runs:
            if run.frames == frames:
                found.setdefault(run.arm.name, {})[run.seed] = scores_of(run, bench)
        for arm in ARMS:
            ours, base = found.get(arm.name, {}), found.get(arm.base, {})
            seeds = sorted(ours.keys() & base.keys())
            if not seeds:
                continue
            pairs = {
                name: [np.stack([of[seed][name] for seed in seeds]) for of in (ours, base)]
                for name in METRICS
            }
            differences = {
                name: (mean(one) - mean(other), *interval(one, other)) for name, (one, other) in pairs.items()
            }
            p, error = t_test(*pairs[PRIMARY])
            means = {name: mean(one) for name, (one, _) in pairs.items()}
            rows.append(Row(arm.form, arm.weight, frames, len(seeds), means, differences, p, error))
    return rows


def t_test(ours: np.ndarray, base: np.ndarray) -> tuple[float, float]:
    """Return two-sided p of a difference of 0, and the difference's standard error.

    By Student's t with one degree of freedom fewer than there are seeds. The error is that of draws of seeds
    and clips, which are both samples, made larger by n / (n - 1) because seeds are few.
    """
    seeds, clips = ours.shape[:2]
    if seeds < 2 or np.array_equal(ours, base):
        return float("nan"), float("nan")
    rng = np.random.default_rng(1)
    draws = []
    for _ in range(2000):
        which = np.ix_(rng.integers(seeds, size=seeds), rng.integers(clips, size=clips))
        draws.append(mean(ours[which]) - mean(base[which]))
    error = float(np.std(draws) * (seeds / (seeds - 1)) ** 0.5)
    return float(2 * t.sf(abs(mean(ours) - mean(base)) / error, seeds - 1)), error


def holm(p: Sequence[float]) -> list[float]:
    """Adjust p values for their number (Holm, Scand. J. Statist. 6, 1979)."""
    adjusted, largest = [float("nan")] * len(p), 0.0
    for rank, index in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        largest = max(largest, min(1.0, (len(p) - rank) * p[index]))
        adjusted[index] = largest
    return adjusted


def primary(choice: list[Row], final: list[Row]) -> list[tuple[Row, float]]:
    """Return the final row of each form and window, at the best weight by the choice data, with Holm's p."""
    chosen = []
    for form in FORMS:
        for frames in dict.fromkeys(row.frames for row in choice):
            own = [row for row in choice if (row.form, row.frames) == (form, frames)]
            if own:
                best = min(own, key=lambda row: row.differences[PRIMARY][0])
                key = (best.form, best.weight, best.frames)
                chosen += [row for row in final if (row.form, row.weight, row.frames) == key]
    chosen = [row for row in chosen if np.isfinite(row.p)]
    return list(zip(chosen, holm([row.p for row in chosen]), strict=True))


def write(options: argparse.Namespace) -> str:
    """Return the tables in Markdown."""
    benches = [OcclusionBenchmark([path], quick=options.quick) for path in (options.mocap, options.motion)]
    choice, final = (compare(options, bench) for bench in benches)
    lines = [f"{options.backbone}, {options.steps} steps.", ""]
    if tested := primary(choice, final):
        least = t.ppf(1 - 0.025 / len(tested), tested[0][0].seeds - 1)
        effect = least * np.median([row.error for row, _ in tested])
        lines += [
            f"Primary: P-MPJPE of hidden joints on {benches[1].motion[0]}, mm, minus the runs without terms; "
            f"the weight of each form is the best on {benches[0].motion[0]}. p by Holm for {len(tested)} "
            f"comparisons; the first of them finds an effect of {effect:.1f} mm.",
            "",
            "| form | weight | window | seeds | difference | p | p, Holm |",
            "|---|---|---|---|---|---|---|",
        ]
        for row, adjusted in tested:
            cells = (row.form, f"{row.weight:g}", row.frames, row.seeds, show(row, PRIMARY))
            lines.append(f"| {' | '.join(map(str, cells))} | {row.p:.3f} | {adjusted:.3f} |")
    for bench, rows in zip(benches, (choice, final), strict=True):
        lines += ["", f"All runs on {bench.motion[0]}: {len(bench.views)} clips.", ""]
        lines += ["| form | weight | window | seeds | " + " | ".join(METRICS) + " |"]
        lines += ["|---" * (4 + len(METRICS)) + "|"]
        for row in rows:
            cells = [
                show(row, name) if row.weight or row.form == TUNED.form else f"{row.means[name]:.1f}"
                for name in METRICS
            ]
            weight = f"{row.weight:g}" if row.weight else ""
            lines.append(f"| {row.form} | {weight} | {row.frames} | {row.seeds} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def show(row: Row, column: str) -> str:
    difference, low, high = row.differences[column]
    return f"{difference:+.1f} ({low:+.1f} to {high:+.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path)
    parser.add_argument(
        "--mocap", type=Path, required=True, help="trains; its validation subjects choose weights"
    )
    parser.add_argument(
        "--motion", type=Path, required=True, help="people whom nothing was trained or chosen on"
    )
    parser.add_argument("--backbone", default="frameformer-small")
    parser.add_argument("--frames", type=int, nargs="+", default=[27, 128], help="windows")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument(
        "--batch", type=int, help=f"clips a step; default: as many as make {CLIPS_FRAMES} frames"
    )
    parser.add_argument("--accelerator", default="cpu", choices=("auto", "cpu", "cuda", "mps"))
    parser.add_argument("--workers", type=int, default=0, help="processes that make batches")
    parser.add_argument("--quick", action="store_true", help="score some 2500 frames, not all")
    parser.add_argument("--report-only", action="store_true", help="train nothing")
    parser.add_argument("--markdown", type=Path, help="file for the tables")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if not options.report_only:
        train_all(options)
    tables = write(options)
    print(tables)
    if options.markdown:
        options.markdown.write_text(tables, encoding="utf-8")


if __name__ == "__main__":
    main()
