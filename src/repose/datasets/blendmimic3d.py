"""BlendMimic3D (Lino et al. 2024): rendered people whose hidden joints are known, seen by four cameras.

The published layout, checked on the published files (github.com/FilipaLino/BlendMimic3D): world positions
in `S<n>/D3_Positions/<action>/<action>.npz`, what each camera sees in
`D2_Positions/<action>/2D_positions.npz`, a flag for each joint in `Occlusions/<action>/occluded_kpt.npz`,
cameras in `Cameras/matrices_S<n>.npz`. There are no detections.

Two things are not what they are said to be. The joints are said to be in Human3.6M's order, but their first
leg is the left one, as the extractor names them (BASE_JOINT_NAMES in 3D_extraction.py of
BlendMimic3D-DataExtractor): in Human3.6M's order every bent knee points backwards, by the names none does.
And the flags are said to mark occluded joints, but are 1 for those that are visible (`prob` in
occlusion.py): they are 0 where a joint is outside of the picture. Papers that took the files at their word
have both the other way round, so both readings are offered.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from repose.datasets.store import Progress
from repose.datasets.store_writer import Recording, Source, count_progress, shaped_array
from repose.errors import expected, reading, reads
from repose.files.arrays import load_arrays
from repose.skeleton import H36M_17

FPS = 30.0
"""600 frames are said to be 20 seconds."""
IMAGE_SIZE = (1000, 1002)
LICENCE = "See github.com/FilipaLino/BlendMimic3D, which states none: ask its authors before you pass it on."
Reading = Literal["as-made", "as-said"]


@reads("BlendMimic3D")
def read_blendmimic3d(
    folder: Path,
    *,
    sides: Reading = "as-made",
    flags: Reading = "as-made",
    progress: Progress | None = None,
) -> Source:
    """Open BlendMimic3D: the folder that has S1, S2 and S3. All of it is the split "test".

    Args:
        folder: the data set.
        sides: "as-made" by the joints' names, "as-said" in Human3.6M's order (left and right exchanged).
        flags: "as-made" 1 for visible joints, "as-said" 1 for occluded ones.
        progress: told how much is stored.

    Raises:
        UserError: no motion in the folder, or, while it is stored, arrays that do not fit together.
    """
    files = sorted(folder.glob("S*/D3_Positions/*/*.npz"))
    if not files:
        found = "none of them" if folder.is_dir() else "nothing there"
        expected(str(folder), "S<n>/D3_Positions/<action>/<action>.npz of BlendMimic3D", found)
    count = count_progress("storing actions", len(files), progress)

    def recordings() -> Iterator[Recording]:
        for file in files:
            with reading(file, "motion of BlendMimic3D"):
                yield from _views(file, sides, flags)
            count(1)

    notes = (
        "sides by the joints' names" if sides == "as-made" else "sides as said: left and right exchanged",
        "a flag of 1 is a visible joint"
        if flags == "as-made"
        else "a flag of 1 is an occluded joint, as said",
        "2D joints are exact; confidence is 1 for visible and 0 for occluded joints",
        f"frame rate is not in the source: {FPS:g} Hz assumed",
    )
    return Source("blendmimic3d", H36M_17.name, "camera", LICENCE, {"test": recordings()}, notes)


def _views(file: Path, sides: Reading, flags: Reading) -> Iterator[Recording]:
    subject, action = file.parents[2], file.parent.name
    order = list(H36M_17.mirror) if sides == "as-made" else list(range(17))
    motion, points = _Archive(file), _Archive(subject / "D2_Positions" / action / "2D_positions.npz")
    occlusions = _Archive(subject / "Occlusions" / action / "occluded_kpt.npz")
    cameras = _Archive(subject / "Cameras" / f"matrices_{subject.name}.npz")
    world_m = motion.array("positions_3d", (None, 17, 3))
    for camera, T in enumerate(cameras.array("RT", (None, 3, 4))):
        points_px = points.array(f"Cam_{camera}", (len(world_m), 17, 2))[:, order]
        flag = occlusions.array(f"Cam_{camera}", (len(world_m), 17))[:, order]
        seen = flag > 0.5 if flags == "as-made" else flag <= 0.5
        yield Recording(
            name=f"{subject.name} {action} {camera}",
            subject=subject.name,
            action=action,
            camera=str(camera),
            image_size=IMAGE_SIZE,
            fps=FPS,
            keypoints_px=np.concatenate([points_px, seen[..., None]], axis=-1).astype(np.float32),
            target=(world_m[:, order] @ T[:, :3].T + T[:, 3]).astype(np.float32),
            optional={"exact_norm": np.concatenate([points_px, np.ones_like(flag)[..., None]], axis=-1)},
        )


class _Archive:
    """An `.npz`, read once."""

    def __init__(self, file: Path) -> None:
        with reading(file, "arrays of BlendMimic3D"):
            self.file, self.content = file, load_arrays(str(file), file)

    def array(self, key: str, shape: tuple[int | None, ...]) -> np.ndarray:
        if key not in self.content:
            expected(str(self.file), f"the array {key}", ", ".join(self.content) or "none")
        return shaped_array(f"{self.file}: {key}", self.content[key], shape)
