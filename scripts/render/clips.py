"""Render people behind things, and let a detector look at them: truth that is exact, errors that are real.

    python scripts/render/clips.py OUT [--motion FOLDER] [--clips 100] [--frames 90] [--seed 0] [--videos]

Each clip becomes one file of OUT, written whole: the true joints, which of them an object covers, what
MediaPipe found in the video, in 2D and in its own 3D. `repose benchmark rendered OUT` scores models on
them, and `repose train … --data.rendered OUT` trains on them. Clips that are there are not made again, so a
run can be interrupted and continued; several runs with the same arguments share the work.
"""

import argparse
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from raster import Lens
from rich.progress import track
from scenes import OBJECTS, Scene, draw_scene

from repose.detectors import get_detector
from repose.evaluation.views import CAMERAS, FPS, View, project_clips, read_motion
from repose.mocap.recordings import MocapClip, read_split, resample, split_at_jumps
from repose.pose import Pose2D
from repose.skeleton import H36M_17
from repose.synthetic.motions import STATURE_M
from repose.video import open_video, write_video

SIDE_PX = 480
CAMERA = replace(CAMERAS["ordinary"], off_axis_deg=6.0)
"""As people film, with the person about the middle: a larger picture would take longer to render."""


def find_motion(folder: Path | None, training: bool, frames: int) -> list[MocapClip]:
    """Clips of at least `frames` frames at 30 a second: procedural, or motion capture split by subject."""
    if folder is None or not training:
        clips = read_motion([folder] if folder else [])
    else:
        clips = [resample(p, FPS) for clip in read_split(folder)[0] for p in split_at_jumps(clip)]
    return [clip for clip in clips if len(clip) >= frames]


def draw_view(clips: list[MocapClip], frames: int, number: int, seed: int) -> View:
    """A piece of a clip that the number and the seed choose, in front of a virtual camera."""
    rng = np.random.default_rng((seed, number))
    kinds = sorted({clip.kind for clip in clips})
    kind = kinds[rng.integers(len(kinds))]
    clip = [clip for clip in clips if clip.kind == kind][
        rng.integers(sum(clip.kind == kind for clip in clips))
    ]
    start = rng.integers(len(clip) - frames + 1)
    piece = MocapClip(f"{clip.name}@{start}", clip.joints_m[start : start + frames], FPS, clip.kind)
    return project_clips([piece], CAMERA, 1, seed * 100_003 + number)[0][0]


class _Watching:
    """MediaPipe's pose model that keeps its own 3D of the frame it saw last."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.world_m: list[np.ndarray] = []

    def __call__(self, **options: Any) -> "_Watching":
        self.pose = self.model(**options)
        return self

    def __enter__(self) -> "_Watching":
        self.pose.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.pose.__exit__(*error)

    def process(self, rgb: np.ndarray) -> Any:
        found = self.pose.process(rgb)
        marks = found.pose_world_landmarks
        self.world_m.append(
            np.zeros((33, 3))
            if marks is None
            else np.array([(mark.x, mark.y, mark.z) for mark in marks.landmark])
        )
        return found


def find_person(path: Path, true_px: np.ndarray) -> tuple[Pose2D | None, np.ndarray]:
    """The track that is nearest to the person, as `repose estimate` finds it, and MediaPipe's 3D."""
    detector: Any = get_detector("mediapipe")
    detector._pose = watching = _Watching(detector._pose)
    video = open_video(path)
    tracks = detector.detect(video, video.info)

    def distance(found: Pose2D) -> float:
        pose = found.to("h36m-17")
        missing = 1 - len(pose) / len(true_px)
        return float(np.median(np.abs(pose.points_px - true_px[pose.frames]))) + 1000 * missing

    return min(tracks, key=distance, default=None), np.array(watching.world_m)


def render_clip(scene: Scene, view: View, video: Path) -> dict[str, np.ndarray]:
    """Render a scene into a video, and return what its file holds."""
    covered = []

    def pictures() -> Iterator[np.ndarray]:
        for frame in range(len(view)):
            canvas, hidden = scene.render(frame)
            covered.append(hidden)
            yield canvas.bytes()

    write_video(video, pictures(), FPS, crf=23)
    found, world_m = find_person(video, scene.lens.project(scene.person.joints_m))
    nothing = np.zeros((0, 33, 2), np.float32)
    told = view.focal_px * SIDE_PX / (2 * view.intrinsics_px[2])
    return {
        "joints_m": view.joints_m.numpy().astype(np.float32),
        "joint_names": np.array(H36M_17.joints),
        "covered": np.array(covered),
        "up": view.up,
        "fps": np.array(FPS),
        "image_size": np.array([SIDE_PX, SIDE_PX]),
        "focal_px": np.array(scene.lens.focal_px),
        "focal_told_px": np.array(told),
        "frames": np.zeros(0, int) if found is None else found.frames,
        "points_px": nothing if found is None else found.points_px.astype(np.float32),
        "confidence": nothing[..., 0] if found is None else found.confidence.astype(np.float32),
        "world_m": world_m.astype(np.float32),
        "detected": world_m.any(axis=(1, 2)),
    }


def make_scene(
    clips: list[MocapClip], kind: str, number: int, options: argparse.Namespace
) -> tuple[View, Scene]:
    """The view and the scene of a clip; the same for the same number and options."""
    view = draw_view(clips, options.frames, number, options.seed)
    true = view.joints_m[..., :2] / view.joints_m[..., 2:]
    lens_error = float((view.rays / true).median())
    told_px = view.focal_px * SIDE_PX / (2 * view.intrinsics_px[2])
    lens = Lens(SIDE_PX, told_px * lens_error)
    seed = options.seed * 1_000_003 + number
    return view, draw_scene(view.joints_m.numpy(), view.up, STATURE_M, lens, kind, FPS, seed)


def make_clip(clips: list[MocapClip], kind: str, number: int, options: argparse.Namespace) -> None:
    name = f"{kind.replace(' ', '-')}_{number:04d}"
    path = options.out / f"{name}.npz"
    if path.exists():
        return
    view, scene = make_scene(clips, kind, number, options)
    with tempfile.TemporaryDirectory() as folder:
        video = options.out / f"{name}.mp4" if options.videos else Path(folder) / f"{name}.mp4"
        arrays = render_clip(scene, view, video)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    with partial.open("wb") as file:
        np.savez_compressed(file, **arrays)
    os.replace(partial, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path, help="folder of the clips")
    parser.add_argument("--motion", type=Path, help="motion capture; default: procedural motion")
    parser.add_argument("--training", action="store_true", help="subjects that models are trained on")
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--frames", type=int, default=90)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--videos", action="store_true", help="keep the videos beside the files")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    clips = find_motion(options.motion, options.training, options.frames)
    kinds = list(OBJECTS)
    for number in track(range(options.clips), description="Rendering"):
        make_clip(clips, kinds[number % len(kinds)], number, options)


if __name__ == "__main__":
    main()
