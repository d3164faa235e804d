"""Draw the README's picture: three moments of the sample video with the 2D joints, and the pose beneath.

    make install && .venv/bin/pip install -c constraints.txt matplotlib
    .venv/bin/python scripts/picture.py

Left is blue, right is orange; a hollow ring is a joint that was not seen but inferred.
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

import repose
from repose import palette
from repose.sample import load_sample_truth, sample_video
from repose.video import open_video


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("docs/images/sample.png"))
    parser.add_argument("--frames", type=int, nargs="+", default=[60, 135, 205])
    options = parser.parse_args()
    truth = load_sample_truth()
    pose = max(repose.estimate(sample_video(), height_m=float(truth_height_m(truth.joints_m))), key=len)
    pictures = {
        frame.index: frame.rgb for frame in open_video(sample_video()) if frame.index in options.frames
    }
    columns = len(options.frames)
    figure = plt.figure(figsize=(4 * columns, 6.6))
    for column, frame in enumerate(options.frames):
        row = int(np.flatnonzero(pose.frames == frame)[0])
        picture = figure.add_subplot(2, columns, column + 1)
        picture.imshow(pictures[frame])
        draw(picture, pose, row, pose.points_px[row])
        picture.set_axis_off()
        space = figure.add_subplot(2, columns, columns + column + 1, projection="3d")
        x, y, z = pose.root_relative_m()[row].T
        # Camera axes to the plot's: right, away from the camera, up.
        draw(space, pose, row, np.stack([x, z, -y], axis=-1))
        true = (truth.joints_m[frame] - truth.joints_m[frame, :1])[:, [0, 2, 1]] * (1, 1, -1)
        for bone in pose.skeleton.bones:
            space.plot(*true[list(bone)].T, color=palette.COMPARED, linewidth=5, alpha=0.45, zorder=0)
        for axis, limits in (("x", (-0.75, 0.75)), ("y", (-0.75, 0.75)), ("z", (-1.0, 0.8))):
            getattr(space, f"set_{axis}lim")(*limits)
            getattr(space, f"set_{axis}ticklabels")([])
        space.set_box_aspect((1.5, 1.5, 1.8), zoom=1.25)
        space.view_init(elev=12, azim=-55)
    figure.subplots_adjust(left=0.01, right=0.99, top=0.99, bottom=0.01, wspace=0.03, hspace=0.02)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out, dpi=75)
    print(options.out)


def truth_height_m(joints_m: np.ndarray) -> float:
    return float(np.median(repose.skeleton.stature(joints_m)))


def draw(axes: plt.Axes, pose: repose.Pose3D, row: int, points: np.ndarray) -> None:
    for child, parent in pose.skeleton.bones:
        axes.plot(*points[[child, parent]].T, color=colour(pose, child), linewidth=2.2)
    for joint, seen in enumerate(pose.seen[row]):
        face = colour(pose, joint) if seen else "white"
        axes.plot(*points[joint][:, None], "o", color=colour(pose, joint), markerfacecolor=face, markersize=5)


def colour(pose: repose.Pose3D, joint: int) -> str:
    return palette.side_colour(pose.skeleton.joints[joint])


if __name__ == "__main__":
    main()
