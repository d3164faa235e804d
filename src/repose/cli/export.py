"""`repose export`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from repose.cli.terminal import echo
from repose.export.results import read_poses
from repose.tracking.people import choose


@dataclass(frozen=True)
class Export:
    """Write a result for other programs: Blender, OpenSim, Mokka, three.js, spreadsheets.

    The suffix of the file names the format: .bvh, .glb, .usd and .usda are animated skeletons; .trc and
    .c3d are markers at the joints; .csv, .parquet and .json are tables.
    """

    result: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """Folder of a result, or its poses.npz."""
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """The file to write; with --to opensim the folder."""
    to: Literal["opensim"] | None = None
    """Write a folder for OpenSim's scaling and inverse kinematics."""
    osim: str = "Rajagopal2016.osim"
    """With --to opensim: the generic model to scale, relative to the folder. It ships with OpenSim."""
    person: int | str | None = None
    """Only this person: largest, central, an id, or x,y, a point on them in the first frame."""
    unit: Literal["cm", "m"] | None = None
    """Unit of a BVH file, which cannot state it; default: centimetres."""
    force: bool = False
    """Overwrite existing files."""

    def run(self) -> None:
        from repose.export.formats import export_opensim, export_poses

        poses = read_poses(self.result)
        if self.person is not None:
            poses = [choose(poses, self.person)]
        if self.to == "opensim":
            export = export_opensim(poses, self.out, model=self.osim, force=self.force)
        else:
            export = export_poses(poses, self.out, unit=self.unit, force=self.force)
        for note in export.notes:
            echo(note)
        echo(f"Written: {', '.join(map(str, export.files))}")
