"""Scaling and inverse kinematics on what `repose export --to opensim` wrote, and a picture of the angles.

    repose export RESULT FOLDER --to opensim
    cp Rajagopal2016.osim FOLDER                 # it comes with OpenSim
    python scripts/in_opensim.py FOLDER --picture opensim.png

Needs OpenSim (`pip install opensim`) and matplotlib.
"""

import argparse
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import opensim

from repose.palette import SIDES

ANGLES = {"hip_flexion": "hip flexion", "knee_angle": "knee flexion", "elbow_flex": "elbow flexion"}
COLOURS = {side[0]: colour for side, colour in SIDES.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--person", default="person_0")
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    picture = options.picture and options.picture.resolve()
    os.chdir(options.folder)
    opensim.Logger.setLevelString("error")
    if not opensim.ScaleTool(f"{options.person}_scale.xml").run():
        raise SystemExit("OpenSim could not scale the model.")
    if not opensim.InverseKinematicsTool(f"{options.person}_ik.xml").run():
        raise SystemExit("OpenSim could not follow the markers.")
    errors = read(Path(f"{options.person}_ik_marker_errors.sto"))
    rms_mm = 1000 * errors["marker_error_RMS"]
    print(f"{len(rms_mm)} frames; markers off by {np.median(rms_mm):.0f} mm (RMS, median over frames)")
    if picture:
        draw(read(Path(f"{options.person}.mot")), picture)


def read(path: Path) -> dict[str, np.ndarray]:
    """The columns of one of OpenSim's motion or storage files."""
    lines = path.read_text().split("endheader\n", 1)[1].splitlines()
    values = np.array([line.split() for line in lines[1:]], dtype=float)
    return dict(zip(lines[0].split(), values.T, strict=True))


def draw(motion: dict[str, np.ndarray], picture: Path) -> None:
    figure, panels = plt.subplots(1, len(ANGLES), figsize=(10, 2.6), sharex=True, layout="constrained")
    for panel, (angle, title) in zip(panels, ANGLES.items(), strict=True):
        for side, name in (("l", "left"), ("r", "right")):
            panel.plot(motion["time"], motion[f"{angle}_{side}"], color=COLOURS[side], label=name)
        panel.set_title(title, fontsize=10)
        panel.set_xlabel("s")
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("degrees")
    panels[0].legend(frameon=False)
    figure.savefig(picture, dpi=120)


if __name__ == "__main__":
    main()
