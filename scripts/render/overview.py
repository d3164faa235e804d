"""Draw what the rendered benchmark shows: a picture of each kind, and the errors behind each object.

    python scripts/render/overview.py REPORT.json docs/images/rendered.png [--motion FOLDER] [--frames 60]

`REPORT.json` is what `repose benchmark rendered --json` wrote; the other options are those of `clips.py`.
"""

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from clips import find_motion, make_scene
from scenes import OBJECTS

from repose.evaluation.rendered_benchmark import EVERYTHING
from repose.evaluation.video_benchmark import MEDIAPIPE

COLOURS = {"default": "#7f9cb8", "default, fitted": "#2b5c8a", MEDIAPIPE: "#c9a27e"}
CROP_PX = 300


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("report", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--motion", type=Path)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    results = {result["kind"]: result for result in json.loads(options.report.read_text())["results"]}
    motion = find_motion(options.motion, False, options.frames)
    kinds = [kind for kind in OBJECTS if kind.replace("-", " ") in results]
    figure, axes = plt.subplots(2, len(kinds), figsize=(1.7 * len(kinds), 5), height_ratios=(1.15, 1))
    highest = max(
        row["metrics"]["p_mpjpe_mm"]["all"]["mean"] for r in results.values() for row in r["rows"].values()
    )
    for column, kind in enumerate(kinds):
        # The first clip of the kind of which some joints are covered in the middle, but not all.
        for number in range(list(OBJECTS).index(kind), 200, len(OBJECTS)):
            _, scene = make_scene(motion, kind, number, options)
            canvas, covered = scene.render(options.frames // 2)
            if kind == "in the open" or 3 < covered.sum() < 13:
                break
        top, bottom = axes[:, column]
        middle = scene.lens.project(scene.person.joints_m[options.frames // 2]).mean(axis=0)
        left, up = np.clip(middle - CROP_PX / 2, 0, scene.lens.side_px - CROP_PX).astype(int)
        top.imshow(canvas.bytes()[up : up + CROP_PX, left : left + CROP_PX])
        top.set(xticks=[], yticks=[], title=kind)
        rows = results[kind.replace("-", " ")]["rows"]
        for place, name in enumerate(COLOURS):
            if name in rows:
                error = rows[name]["metrics"]["p_mpjpe_mm"]["all"]
                bottom.bar(place, error["mean"], color=COLOURS[name], label=name)
                bottom.errorbar(
                    place,
                    error["mean"],
                    [[error["mean"] - error["low"]], [error["high"] - error["mean"]]],
                    color="#444",
                    capsize=2,
                    linewidth=0.8,
                )
                bottom.text(place, 4, f"{error['mean']:.0f}", ha="center", color="white", fontsize=8)
        bottom.set(xticks=[], ylim=(0, 1.35 * highest), yticks=[] if column else [0, 100, 200])
        bottom.spines[["top", "right"]].set_visible(False)
    axes[1, 0].set_ylabel("P-MPJPE, mm")
    handles, labels = axes[1, 0].get_legend_handles_labels()
    names = {"default": "network", "default, fitted": "network and fit", MEDIAPIPE: "MediaPipe's own 3D"}
    figure.legend(
        handles, [names.get(label, label) for label in labels], loc="lower center", ncols=3, frameon=False
    )
    total = results[EVERYTHING]
    figure.suptitle(
        f"{total['clips']} rendered clips, {total['frames']} frames, 2D by MediaPipe", fontsize=10
    )
    figure.tight_layout(rect=(0, 0.05, 1, 1))
    figure.savefig(options.out, dpi=110)


if __name__ == "__main__":
    main()
