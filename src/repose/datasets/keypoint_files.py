"""2D keypoint files of any format as a data set: tracks for pretraining, without 3D."""

from collections.abc import Iterator, Sequence
from os.path import commonpath
from pathlib import Path

import numpy as np

from repose.datasets.store import Progress
from repose.datasets.store_writer import Recording, Source, count_progress
from repose.keypoints.reader import read_keypoints
from repose.pose import Pose2D
from repose.sequence import stretches
from repose.skeleton import H36M_17

LONGEST_GAP_S = 1.0
"""Frames without the person that a recording goes on over; after more it ends, and another one begins."""


def read_keypoint_files(
    files: Sequence[str | Path],
    *,
    fps: float | None = None,
    image_size: tuple[int, int] | None = None,
    skeleton: str | None = None,
    progress: Progress | None = None,
) -> Source:
    """Read the tracks of keypoint files, one recording per person and run without a long gap.

    Every file is one video, in any format that `read_keypoints` knows, whose options the others are. Joints
    become those of `h36m-17`. In a frame without the person all confidences are 0.

    Files are read twice: all of them before the first recording is made, so that what is wrong in one is
    said at once. Raises UserError as `read_keypoints` does.
    """

    def tracks(file: Path) -> list[Pose2D]:
        return read_keypoints(file, fps=fps, image_size=image_size, skeleton=skeleton)

    paths = [Path(file) for file in files]
    shared = Path(commonpath([path.resolve().parent for path in paths]))
    layouts: set[str] = set()
    assumed: dict[str, int] = {}
    total = 0
    for number, path in enumerate(paths):
        if progress:
            progress("reading keypoints", number, len(paths))
        found = tracks(path)
        for what in found[0].assumed:
            assumed[what] = assumed.get(what, 0) + 1
        layouts |= {track.skeleton.name for track in found} - {H36M_17.name}
        total += sum(map(len, found))
    count = count_progress("storing frames", total, progress)

    def recordings() -> Iterator[Recording]:
        for path in paths:
            name = path.resolve().relative_to(shared).as_posix()
            for track in tracks(path):
                for part, rows in enumerate(_stretches(track), start=1):
                    yield _recording(name, part, track, rows)
                    count(rows.stop - rows.start)

    notes = [f"2D alone; a recording ends where the person is away for more than {LONGEST_GAP_S:g} s"]
    if layouts:
        notes.append(f"2D joints converted from {', '.join(sorted(layouts))}")
    notes += [f"{what} assumed for {times} of {len(paths)} files" for what, times in sorted(assumed.items())]
    return Source(
        dataset="keypoints",
        skeleton=H36M_17.name,
        target=None,
        licence="That of the videos and of the keypoints that it is made from.",
        splits={"train": recordings()},
        notes=tuple(notes),
    )


def _stretches(track: Pose2D) -> list[slice]:
    """Rows of the track between gaps that are too long."""
    return stretches(np.diff(track.frames) - 1 > LONGEST_GAP_S * track.fps)


def _recording(file: str, part: int, track: Pose2D, rows: slice) -> Recording:
    pose = track.to(H36M_17)
    frames = pose.frames[rows] - pose.frames[rows.start]
    keypoints = np.zeros((frames[-1] + 1, len(H36M_17), 3), np.float32)
    keypoints[frames, :, :2] = pose.points_px[rows]
    keypoints[frames, :, 2] = pose.confidence[rows]
    return Recording(
        name=f"{file}, person {track.track_id}, part {part}",
        subject=f"person {track.track_id}",
        action="",
        camera=file,
        image_size=pose.image_size,
        fps=pose.fps,
        keypoints_px=keypoints,
        target=None,
    )
