"""What MediaPipe's visibility means: the chance of a landmark to be within 5 % of the height of the truth.

    python scripts/calibrate_confidence.py PICTURE --rendered FOLDER --video CLIPS [--report FOLDER]

Measured on the package's sample, on rendered clips (`scripts/render/clips.py --training`) and on a real clip
as filmed and with covered legs (`repose benchmark video` describes the folder; camera 1 alone, since sides
are exchanged in the other). Elbows, wrists, knees and ankles: detectors and motion capture differ in what
hips and shoulders are. The mean of the three, made monotone, is printed: `CHANCES` in
`repose/lifting/lifter.py` follows it, with fewer points. On the clips of `--report`, which should be others,
it is compared with the visibility itself and its power.
"""

import argparse
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from scipy.optimize import isotonic_regression

from repose import palette
from repose.detectors import get_detector
from repose.evaluation.video_clips import read_stored, read_truth
from repose.geometry.camera import Camera
from repose.lifting.lifter import CHANCES
from repose.pose import CONFIDENCE_EXPONENT, Pose2D
from repose.sample import load_sample_truth, sample_video
from repose.skeleton import H36M_17, stature
from repose.synthetic.rendered_clips import read_rendered
from repose.video import open_video

LIMBS = [f"{side}_{joint}" for joint in ("elbow", "wrist", "knee", "ankle") for side in ("left", "right")]
EDGES = np.array([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0001])
WITHIN = 0.05
Pairs = Float[np.ndarray, "points 2"]
"""Visibility and error as a share of the height."""


def compare(found: Pose2D, true_px: np.ndarray, names: list[str], height_px: np.ndarray) -> Pairs:
    """Each row of `true_px` belongs to the video's frame of that number."""
    inside = found.frames < len(true_px)
    frames, joints = found.frames[inside], found.skeleton.indices(*LIMBS)
    true = true_px[frames][:, [names.index(joint) for joint in LIMBS]]
    off = np.linalg.norm(found.points_px[inside][:, joints] - true, axis=-1) / height_px[frames, None]
    return np.stack([found.confidence[inside][:, joints].ravel(), off.ravel()], axis=-1)


def rendered(folder: Path) -> Pairs:
    pairs = []
    for clip in map(read_rendered, sorted(folder.glob("*_*.npz"))):
        if clip.track is not None:
            camera = Camera.from_intrinsics(clip.intrinsics_px(clip.focal_px))
            joints = clip.joints_m.astype(np.float64)
            height_px = clip.focal_px * stature(joints) / joints[..., 2].mean(axis=1)
            pairs.append(compare(clip.track, camera.project(joints), list(H36M_17.joints), height_px))
    return np.concatenate(pairs)


def sample() -> Pairs:
    video, truth = open_video(sample_video()), load_sample_truth()
    joints = truth.joints_m.astype(np.float64)
    height_px = truth.K[0, 0] * stature(joints) / joints[..., 2].mean(axis=1)
    (found,) = get_detector("mediapipe").detect(video, video.info)
    return compare(found, truth.points_px, list(H36M_17.joints), height_px)


def real(folder: Path) -> Pairs:
    truth, pairs = read_truth(folder), []
    name, camera = next(iter(truth.cameras.items()))
    pixels, depths = camera.project_with_depth(truth.joints_m.astype(np.float64))
    height_px = 1.75 * camera.intrinsics_px[0] / depths.mean(axis=1)
    for file in sorted(folder.glob(f"mediapipe_{name}*.npz")):
        pairs.append(compare(read_stored(file), pixels, truth.names, height_px))
    return np.concatenate(pairs)


def shares(pairs: Pairs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean visibility, share within 5 % of the height, and number of points of each bin."""
    number = np.digitize(pairs[:, 0], EDGES) - 1
    here = [pairs[number == i] for i in range(len(EDGES) - 1)]
    mean = np.array([rows.mean(axis=0)[0] if len(rows) else np.nan for rows in here])
    share = np.array([(rows[:, 1] < WITHIN).mean() if len(rows) else np.nan for rows in here])
    return mean, share, np.array([len(rows) for rows in here])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("picture", type=Path)
    parser.add_argument("--rendered", type=Path, required=True)
    parser.add_argument("--video", type=Path, required=True)
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    sources = {"rendered": rendered(options.rendered), "sample": sample(), "real clip": real(options.video)}
    measured = {name: shares(pairs) for name, pairs in sources.items()}
    for name, (_, share, count) in measured.items():
        row = (f"{s:.2f} ({n})" for s, n in zip(share, count, strict=True))
        print(f"{name:10}", "  ".join(row))
    middle = (EDGES[:-1] + EDGES[1:]) / 2
    mean = np.nanmean([share for _, share, _ in measured.values()], axis=0)
    chance = isotonic_regression(mean).x
    print("CHANCES:", [(round(float(v), 3), round(float(c), 2)) for v, c in zip(middle, chance, strict=True)])
    power = CONFIDENCE_EXPONENT["mediapipe-33"]
    claims = {
        "its chance": lambda v: np.interp(v, *zip(*CHANCES["mediapipe-33"], strict=True)),
        "visibility": lambda v: v,
        f"power {power:g}": lambda v: v**power,
    }
    reported = rendered(options.report) if options.report else None
    for name, claim in claims.items():
        for where, pairs in {**sources, **({} if reported is None else {"report": reported})}.items():
            number = np.digitize(pairs[:, 0], EDGES)
            off = [
                (pairs[number == i, 1] < WITHIN).mean() - claim(pairs[number == i, 0]).mean()
                for i in np.unique(number)
            ]
            weight = np.unique(number, return_counts=True)[1] / len(number)
            print(f"{name:12} {where:10} expected calibration error {np.abs(off) @ weight:.3f}")
    figure = Figure(figsize=(6.2, 4.6), layout="constrained")
    panel = figure.subplots()
    colours = (palette.SIDES["left"], palette.SIDES["right"], "#7b5ea7", "#8a8f98")
    drawn = measured if reported is None else {**measured, "rendered, not fitted to": shares(reported)}
    for (name, (where, share, _)), colour in zip(drawn.items(), colours, strict=False):
        panel.plot(where, share, ".:", color=colour, label=name)
    grid = np.linspace(0, 1, 101)
    panel.plot(grid, claims["its chance"](grid), color=palette.INK, linewidth=2, label="calibrated")
    panel.plot(grid, grid**power, "--", color=palette.INK, linewidth=1, label="into the network")
    panel.set(xlabel="MediaPipe's visibility", ylabel="share within 5 % of the height", ylim=(0, 1.02))
    panel.grid(alpha=0.3)
    panel.legend(fontsize=8)
    figure.savefig(options.picture, dpi=110)


if __name__ == "__main__":
    main()
