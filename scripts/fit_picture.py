"""Draw the picture of docs/fit.md: six moments of the sample, as the network has them and fitted.

    .venv/bin/python scripts/fit_picture.py [--out docs/images/fit.png] [--frames 30 75 …]

First row: the network's joints, projected into the picture; third row: the fitted ones. Below each, the same
joints from the person's side (the camera turned by 90 degrees about the vertical) on the truth, which is
grey. Left is blue, right is orange; a hollow ring is a joint that was not seen.
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float
from picture import draw, truth_height_m

import repose
from repose import palette
from repose.sample import load_sample_truth, sample_video
from repose.video import open_video

MARGIN_PX = 45


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("docs/images/fit.png"))
    parser.add_argument("--frames", type=int, nargs=6, default=[20, 65, 110, 155, 200, 245])
    options = parser.parse_args()
    truth = load_sample_truth()
    height_m = float(truth_height_m(truth.joints_m))
    network = max(repose.estimate(sample_video(), height_m=height_m, fit=False, root=True), key=len)
    poses = {"network": network, "fitted": repose.fit(network)}
    pictures = {frame.index: frame.rgb for frame in open_video(sample_video())}
    figure, grid = plt.subplots(4, len(options.frames), figsize=(2.1 * len(options.frames), 9.6))
    for column, frame in enumerate(options.frames):
        row = int(np.flatnonzero(network.frames == frame)[0])
        true_m = truth.joints_m[frame] - truth.joints_m[frame, :1]
        points_px = truth.points_px[frame]
        centre, reach = points_px.mean(axis=0), np.ptp(points_px, axis=0).max() / 2 + MARGIN_PX
        for number, pose in enumerate(poses.values()):
            picture, side = grid[2 * number, column], grid[2 * number + 1, column]
            picture.imshow(pictures[frame])
            draw(picture, pose, row, pose.camera().project(pose.joints_m[row].astype(np.float64)))
            picture.set_xlim(centre[0] - reach, centre[0] + reach)
            picture.set_ylim(centre[1] + reach, centre[1] - reach)
            for bone in pose.skeleton.bones:
                side.plot(*from_side(true_m)[list(bone)].T, color=palette.COMPARED, linewidth=6, alpha=0.6)
            draw(side, pose, row, from_side(pose.root_relative_m()[row]))
            side.set_xlim(-0.9, 0.9)
            side.set_ylim(-1.05, 0.95)
            side.set_aspect("equal")
    for axes in grid.flat:
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_color(palette.GRID)
    for number, name in enumerate(poses):
        grid[2 * number, 0].set_ylabel(name)
        grid[2 * number + 1, 0].set_ylabel(f"{name}, from the side")
    figure.subplots_adjust(left=0.03, right=0.995, top=0.995, bottom=0.005, wspace=0.03, hspace=0.03)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out, dpi=75)
    print(options.out)


def from_side(joints_m: Float[np.ndarray, "joints 3"]) -> Float[np.ndarray, "joints 2"]:
    """Depth to the right, up."""
    return joints_m[:, [2, 1]] * (1, -1)


if __name__ == "__main__":
    main()
