"""How well models do where joints are hidden: all on the same views of motion capture.

`benchmark_occlusion(["bvh"], ["default"])` gives an `OcclusionReport`.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float

from repose.errors import UserError, expected
from repose.evaluation.conditions import CONDITIONS, Condition, Observation
from repose.evaluation.models import FITTED, Estimator, Model, camera_joints_mm, load_models
from repose.evaluation.occlusion_report import (
    FLAT,
    ClipError,
    ConditionResult,
    OcclusionReport,
    Row,
    interpolated_name,
)
from repose.evaluation.scores import BENCHMARKED, Bootstrap, FramePairs, Poses, Sums, add, mean, measure
from repose.evaluation.views import CAMERAS, FPS, CamerasName, View, choose, project_clips, read_motion
from repose.lifting import Device
from repose.models.perspective_crop import perspective_crop
from repose.pipeline import Progress
from repose.sequence import fill_gaps
from repose.skeleton import H36M_17, conversion_matrix, stature
from repose.synthetic.motions import STATURE_M

QUICK_FRAMES = 2500
VIEWS = 2
_PAIRS = FramePairs(every=5, within=1_000_000)


@dataclass(frozen=True, eq=False)
class Prediction:
    """Joints relative to the pelvis, camera axes, of a person 1.70 m tall."""

    joints_mm: Float[np.ndarray, "frames 17 3"]
    deviation_mm: Float[np.ndarray, "frames 17"] | None = None

    def score(self, view: View, hidden: Bool[np.ndarray, "frames 17"]) -> dict[str, Sums]:
        """Add up every metric."""
        poses = Poses(
            self.joints_mm,
            view.truth_mm,
            hidden,
            FPS,
            H36M_17,
            deviation_mm=self.deviation_mm,
            up=view.up,
            pairs=_PAIRS,
        )
        return measure(poses, BENCHMARKED)


class _Scored(NamedTuple):
    """A view under a condition."""

    view: View
    hidden: int
    """Joints, over all frames."""
    sums: dict[str, dict[str, Sums]]
    """By row."""


class OcclusionBenchmark:
    """Views, conditions and models; `run` scores all of them."""

    def __init__(
        self,
        motion: Sequence[str | Path] = (),
        models: Sequence[Model] = ("default",),
        *,
        cameras: CamerasName = "ordinary",
        quick: bool = False,
        conditions: Sequence[str] = (),
        undo_swaps: bool = True,
        seed: int = 0,
        device: Device = "auto",
        fit: bool = True,
        joint_map: str | Path | None = None,
    ) -> None:
        """Read the motion, place the cameras and load the models.

        `motion`: BVH, ASF/AMC and joint files or folders of them, prepared stores, the CMU pack (see
        `repose.evaluation.views.read_motion`); procedural motion without any. `models`: names of packaged
        weights, checkpoints, lifters that are loaded, or names with estimators (`evaluation.models`); the
        first one is what the others are compared with. `conditions`: names of those to measure, all unless
        given. `quick`: some 2500 frames of the motion, drawn by the seed, one camera each. `undo_swaps`:
        exchanged sides are put back first, as `repose estimate` does. `fit`: also a row of each model fitted
        to the picture.

        Raises UserError for motion and models that cannot be read, unknown conditions and cameras, and two
        models of the same name.
        """
        if cameras not in CAMERAS:
            expected("cameras", " or ".join(CAMERAS), repr(cameras))
        names = {condition.name for condition in CONDITIONS}
        if unknown := sorted(set(conditions) - names):
            raise UserError(
                f"no condition is called {unknown[0]!r}",
                f"Conditions: {', '.join(dict.fromkeys(c.name for c in CONDITIONS))}.",
            )
        self.models = load_models(models, device, fit=fit)
        self.conditions = [c for c in CONDITIONS if not conditions or c.name in conditions]
        self.seed, self.undo_swaps, self.cameras, self.quick = seed, undo_swaps, cameras, quick
        self.motion = [Path(path).resolve().name for path in motion] or ["procedural"]
        clips = read_motion(motion, joint_map)
        if quick:
            clips = choose(clips, QUICK_FRAMES, seed)
        self.views = project_clips(clips, CAMERAS[cameras], 1 if quick else VIEWS, seed)

    def run(self, progress: Progress | None = None) -> OcclusionReport:
        """Score every model and baseline under every condition."""
        bootstrap = Bootstrap(len(self.views), self.seed)
        results = []
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # clips side by side use the cores better than clips one by one
        try:
            with ThreadPoolExecutor(threads) as pool:
                for number, condition in enumerate(self.conditions):
                    if progress:
                        progress("conditions", number, len(self.conditions))
                    clips = list(pool.map(partial(self._score, condition), self.views))
                    results.append(self._summarise(condition, clips, bootstrap))
        finally:
            torch.set_num_threads(threads)
        return OcclusionReport(
            models=tuple(self.models),
            motion=tuple(self.motion),
            clips=len(self.views),
            frames=sum(len(views[0]) for views in self.views),
            fps=FPS,
            cameras=self.cameras,
            views=len(self.views[0]),
            seed=self.seed,
            undo_swaps=self.undo_swaps,
            results=tuple(results),
        )

    def _score(self, condition: Condition, views: Sequence[View]) -> list[_Scored]:
        """One clip under a condition: its views that the condition applies to."""
        scored = []
        for view in views if condition.headline else views[:1]:
            if (observation := condition.observe(view, self.seed)) is not None:
                hidden = observation.hidden.numpy()
                rows = self.predict(view, observation)
                sums = {row: prediction.score(view, hidden) for row, prediction in rows.items()}
                scored.append(_Scored(view, int(hidden.sum()), sums))
        return scored

    def _summarise(
        self, condition: Condition, clips: Sequence[list[_Scored]], bootstrap: Bootstrap
    ) -> ConditionResult:
        first = next(iter(self.models))
        every = [scored for clip in clips for scored in clip]
        frames = sum(len(scored.view) for scored in every)
        pooled = {
            row: pool_clips([[scored.sums[row] for scored in clip if row in scored.sums] for clip in clips])
            for row in dict.fromkeys(row for scored in every for row in scored.sums)
        }
        return ConditionResult(
            condition=condition,
            clips=sum(bool(clip) for clip in clips),
            frames=frames,
            hidden_share=sum(scored.hidden for scored in every) / max(frames * len(H36M_17), 1),
            rows={
                row: Row.of(sums, bootstrap, None if row == first else pooled[first])
                for row, sums in pooled.items()
            },
            clip_errors=tuple(
                ClipError(mean(scored.sums[first]["p_mpjpe_mm"]), condition.label, scored.view)
                for scored in every
            ),
        )

    def predict(self, view: View, observation: Observation) -> dict[str, Prediction]:
        """Predict a view with each baseline and model, by the name of its row."""
        hidden = observation.hidden.numpy()
        rows = {FLAT: Prediction(flat_mm(observation))}
        for name, model in self.models.items():
            rows[name] = predict(view, observation, model, self.undo_swaps)
            if name.endswith(FITTED):
                continue
            if (interpolated := interpolate_mm(rows[name].joints_mm, hidden)) is not None:
                rows[interpolated_name(name)] = Prediction(interpolated)
        return rows


def pool_clips(clips: Sequence[Sequence[Mapping[str, Sums]]]) -> dict[str, Sums]:
    """Sum over the views of each clip, zero where it has none: metric -> (clips, 3, 2, items)."""
    pooled: dict[str, Sums] = {}
    for clip, views in enumerate(clips):
        for name, entry in add(views).items():
            pooled.setdefault(name, np.zeros((len(clips), *entry.shape)))[clip] = entry
    return pooled


def predict(view: View, observation: Observation, model: Estimator, undo_swaps: bool) -> Prediction:
    """Lift a view as users lift a track of keypoints whose camera is known."""
    track = view.track(observation.keypoints)
    pose = model(track, intrinsics_px=view.intrinsics_px, height_m=STATURE_M, undo_swaps=undo_swaps)
    if not np.array_equal(pose.frames, track.frames):
        expected("frames of a model's answer", f"all {len(track)} of the track", f"{len(pose)} others")
    joints = conversion_matrix(pose.skeleton, H36M_17) @ camera_joints_mm(pose)
    deviation = None
    if pose.deviation_m is not None and set(H36M_17.joints) <= set(pose.skeleton.joints):
        deviation = 1000 * pose.deviation_m[:, pose.skeleton.indices(*H36M_17.joints)].astype(np.float64)
    return Prediction(joints - joints[:, :1], deviation)


def flat_mm(observation: Observation) -> Float[np.ndarray, "frames 17 3"]:
    """Put the joints, seen by a camera that looks at the person, at one depth, scaled to 1.70 m."""
    picture = F.pad(perspective_crop(observation.keypoints[None]).points[0], (0, 1))
    picture = picture - picture[:, :1]
    size = stature(picture).median().clamp(min=1e-6)
    return (1000 * STATURE_M * picture / size).numpy().astype(np.float64)


def interpolate_mm(
    joints_mm: Float[np.ndarray, "frames 17 3"], hidden: Bool[np.ndarray, "frames 17"]
) -> Float[np.ndarray, "frames 17 3"] | None:
    """Interpolate hidden joints between the frames in which they are not hidden.

    A joint that is hidden in all frames stays as it is; None where that is so of every hidden joint.
    """
    gaps = hidden & ~hidden.all(axis=0)
    return fill_gaps(joints_mm, ~gaps) if gaps.any() else None


def benchmark_occlusion(
    motion: Sequence[str | Path] = (),
    models: Sequence[Model] = ("default",),
    *,
    progress: Progress | None = None,
    **options: Any,
) -> OcclusionReport:
    """Score models where joints are hidden; see `OcclusionBenchmark` for the options.

    `benchmark_occlusion(["bvh"], ["default", "mine.safetensors"], quick=True).write_json("result.json")`
    """
    return OcclusionBenchmark(motion, models, **options).run(progress)
