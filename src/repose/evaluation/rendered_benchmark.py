"""People rendered behind things, a real detector, exact truth: models beside MediaPipe's own 3D.

`scripts/render/clips.py` makes the folder, one file a clip: its name is the kind of object and a number.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from rich.table import Table

from repose.errors import expected
from repose.evaluation.models import Model, camera_joints_mm, load_models
from repose.evaluation.occlusion_benchmark import pool_clips
from repose.evaluation.occlusion_report import ROW_HEADINGS, Row
from repose.evaluation.report import (
    ANGLES_IN_WORDS,
    Report,
    add_row,
    angle_headings,
    make_table,
    show,
    show_angles,
)
from repose.evaluation.scores import BENCHMARKED, Bootstrap, Poses, Sums, measure
from repose.evaluation.video_benchmark import MEDIAPIPE, Lens
from repose.evaluation.video_clips import BLAZEPOSE
from repose.lifting import Device
from repose.pipeline import Progress
from repose.skeleton import H36M_17, Skeleton
from repose.synthetic.rendered_clips import RenderedClip, read_rendered

LIMBS = tuple(
    f"{side}_{joint}"
    for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    for side in ("left", "right")
)
"""Joints that are scored: those on which detectors and motion capture agree."""
EVERYTHING = "all clips"
_SKELETON = Skeleton("limbs", LIMBS, (-1,) * len(LIMBS))


@dataclass(frozen=True)
class RenderedResult:
    """One kind of object, or all of them."""

    kind: str
    clips: int
    frames: int
    hidden_share: float
    """Of the joints of all frames."""
    lost_share: dict[str, float]
    """Frames without an answer, by row."""
    rows: dict[str, Row]


@dataclass(frozen=True)
class RenderedReport(Report):
    """What the benchmark found."""

    folder: str
    lens: Lens
    clips: int
    seed: int
    results: tuple[RenderedResult, ...]

    def __getitem__(self, kind: str) -> RenderedResult:
        """`report["counter"].rows["default"]["p_mpjpe_mm", "hidden"]`."""
        return next(result for result in self.results if result.kind == kind)

    def summary(self) -> str:
        frames = self[EVERYTHING].frames
        return (
            f"{self.folder}: {self.clips} clips, {frames} frames, 2D by MediaPipe; seed {self.seed}\n"
            f"{len(LIMBS)} joints (shoulders, elbows, wrists, hips, knees, ankles); the lens is {self.lens}\n"
            "P-MPJPE in mm of a person 1.70 m tall, ± half of its 95 % interval over clips\n"
            "hidden: joints that the object covers; visible: the others of the same frames\n"
            f"no answer: frames in which nobody was found, which are not scored. {MEDIAPIPE}: its own 3D\n"
            f"{ANGLES_IN_WORDS}"
        )

    def tables(self) -> list[Table]:
        """Return a row for each kind and model: places, and angles."""
        headings = [
            "clips",
            "covered",
            "no answer",
            "P-MPJPE",
            "hidden",
            "visible",
            "accel.",
            "in 1σ",
            "in 2σ",
        ]
        places = make_table(["behind", "row"], headings)
        angles = make_table(["behind", "row"], angle_headings())
        for result in self.results:
            kind = result.kind
            for name, row in result.rows.items():
                within = [f"within_{n}_deviations_percent" for n in (1, 2)]
                add_row(
                    places,
                    kind,
                    name,
                    str(result.clips) if kind else "",
                    f"{result.hidden_share:.0%}" if kind else "",
                    f"{result.lost_share[name]:.0%}",
                    *(show(row["p_mpjpe_mm", which]) for which in ("all", "hidden", "visible")),
                    show(row["acceleration_error_mm_per_s2", "all"].mean / 1000),
                    *(show(row[n, "all"].mean, 0) if n in row.metrics else "–" for n in within),
                )
                add_row(angles, kind, name, *show_angles(row.means()))
                kind = ""
        return [places, angles]

    def numbers(self) -> Iterator[Sequence[object]]:
        """Yield every metric with its interval."""
        yield "behind", "row", *ROW_HEADINGS
        for result in self.results:
            for name, row in result.rows.items():
                yield from ((result.kind, name, *number) for number in row.numbers())

    def content(self) -> dict[str, Any]:
        return {
            "benchmark": "rendered",
            "protocol_in_words": self.summary().splitlines(),
            **{name: value for name, value in vars(self).items() if name != "results"},
            "results": [asdict(result) for result in self.results],
        }


def benchmark_rendered(
    folder: str | Path,
    models: Sequence[Model] = ("default",),
    *,
    lens: Lens = "assumed",
    seed: int = 0,
    device: Device = "auto",
    fit: bool = True,
    progress: Progress | None = None,
) -> RenderedReport:
    """Score models, and MediaPipe's own 3D, on rendered clips.

    Args:
        folder: files that `scripts/render/clips.py` made.
        models: names of packaged weights, checkpoints, or lifters.
        lens: "assumed" tells models nothing about the camera, "given" its focal length, known to a tenth.
        seed: of the draws of clips that give intervals.
        device: where to lift.
        fit: also a row of each model fitted to the picture.
        progress: called with what is done, how much of it, and of how much.

    Raises:
        UserError: a folder without such files, files with other arrays, models that cannot be loaded.
    """
    folder = Path(folder)
    files = sorted(folder.glob("*_*.npz")) if folder.is_dir() else []
    if not files:
        expected(str(folder), "a folder of rendered clips (KIND_NUMBER.npz)", "none")
    estimators = load_models(models, device, fit=fit)
    clips, scored = [], []
    for number, file in enumerate(files):
        if progress:
            progress("clips", number, len(files))
        clip = read_rendered(file)
        rows = {}
        for name, estimator in estimators.items():
            if clip.track is not None:
                scene = {"intrinsics_px": clip.intrinsics_px(clip.focal_told_px)} if lens == "given" else {}
                pose = estimator(clip.track, **scene)
                joints = pose.skeleton.indices(*LIMBS)
                deviation = None if pose.deviation_m is None else 1000 * pose.deviation_m[:, joints]
                rows[name] = _score(clip, pose.frames, camera_joints_mm(pose)[:, joints], deviation)
        found = np.flatnonzero(clip.detected)
        if len(found):
            world_mm = 1000 * clip.world_m[found][:, BLAZEPOSE.indices(*LIMBS)]
            rows[MEDIAPIPE] = _score(clip, found, world_mm)
        clips.append(clip)
        scored.append(rows)
    kinds = sorted({clip.kind for clip in clips})
    names = [*estimators, MEDIAPIPE]
    results = [
        _summarise(kind, names, clips, scored, Bootstrap(len(clips), seed)) for kind in (*kinds, EVERYTHING)
    ]
    return RenderedReport(folder.resolve().name, lens, len(clips), seed, tuple(results))


def _score(
    clip: RenderedClip,
    frames: Int[np.ndarray, " frames"],
    joints_mm: Float[np.ndarray, "frames 12 3"],
    deviation_mm: Float[np.ndarray, "frames 12"] | None = None,
) -> tuple[int, dict[str, Sums]]:
    """How many frames there are, and their sums. Both poses are about the middle of the hips."""
    joints = H36M_17.indices(*LIMBS)
    hips = _SKELETON.indices("left_hip", "right_hip")
    predicted, truth = (
        x - x[:, hips].mean(axis=1, keepdims=True)
        for x in (joints_mm.astype(np.float64), 1000 * clip.joints_m[frames][:, joints])
    )
    poses = Poses(
        predicted_mm=predicted,
        truth_mm=truth,
        hidden=clip.covered[frames][:, joints],
        fps=clip.fps,
        skeleton=_SKELETON,
        clip=np.cumsum(np.diff(frames, prepend=frames[0]) != 1),
        deviation_mm=None if deviation_mm is None else deviation_mm.astype(np.float64),
        up=clip.up,
    )
    return len(frames), measure(poses, BENCHMARKED)


def _summarise(
    kind: str,
    names: Sequence[str],
    clips: Sequence[RenderedClip],
    scored: Sequence[dict[str, tuple[int, dict[str, Sums]]]],
    bootstrap: Bootstrap,
) -> RenderedResult:
    chosen = [kind in (clip.kind, EVERYTHING) for clip in clips]
    frames = sum(len(clip.joints_m) for clip, one in zip(clips, chosen, strict=True) if one)
    joints = H36M_17.indices(*LIMBS)
    covered = sum(clip.covered[:, joints].sum() for clip, one in zip(clips, chosen, strict=True) if one)
    rows, lost = {}, {}
    for name in names:
        answers = [row.get(name) if one else None for row, one in zip(scored, chosen, strict=True)]
        lost[name] = 1 - sum(answer[0] for answer in answers if answer) / frames
        if pooled := pool_clips([[answer[1]] if answer else [] for answer in answers]):
            rows[name] = Row.of(pooled, bootstrap, None)
    return RenderedResult(kind, sum(chosen), frames, float(covered / (frames * len(joints))), lost, rows)
