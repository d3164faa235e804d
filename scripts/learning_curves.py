"""Draw how the errors on validation subjects fell in some runs.

python scripts/learning_curves.py docs/images/learning.png runs/default2 runs/default3 runs/feet
"""

import argparse
from pathlib import Path

from matplotlib.figure import Figure

from repose import palette
from repose.training.run_folder import read_config, read_scores

LINES = {
    "gone_p_mpjpe_mm": ("a limb never seen", "#8a8f98"),
    "measured_p_mpjpe_mm": ("a detector's measured errors", palette.SIDES["right"]),
    "noisy_p_mpjpe_mm": ("simulated errors", palette.SIDES["left"]),
    "clean_p_mpjpe_mm": ("exact 2D", palette.MIDDLE),
    "footless_feet_from_ankle_mm": ("toes and heels from the ankle, never seen", "#7b5ea7"),
    "clean_feet_from_ankle_mm": ("the same, seen", "#b59bd6"),
}
"""P-MPJPE of the 17 joints, and the error of toes and heels relative to the ankle."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("picture", type=Path)
    parser.add_argument("runs", nargs="+", type=Path)
    options = parser.parse_args()
    figure = Figure(figsize=(11, 4), layout="constrained")
    panels = figure.subplots(1, len(options.runs), sharey=True, squeeze=False)[0]
    for folder, panel in zip(options.runs, panels, strict=True):
        scores, config = read_scores(folder), read_config(folder)
        steps = [score.step for score in scores]
        for line, (words, colour) in LINES.items():
            if all(line in score.values for score in scores):
                panel.plot(steps, [score.values[line] for score in scores], ".-", color=colour, label=words)
        panel.axvspan((1 - config["cooldown"]) * config["steps"], config["steps"], color="k", alpha=0.05)
        panel.set(title=folder.name, xlabel="steps; shaded: the rate falls", ylim=(0, 115))
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("error on validation subjects (mm)")
    panels[-1].legend(fontsize=8, loc="lower left")
    figure.savefig(options.picture, dpi=110)


if __name__ == "__main__":
    main()
