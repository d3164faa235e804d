"""The result of a live session, written as `repose estimate` writes one.

While people are filmed their rows go to a file without a name, which the system removes with the program,
however that ends: memory does not grow, and a program that is killed leaves nothing. The result is written
from it at the end, all of it or nothing.
"""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np

from repose.errors import UserError
from repose.export.results import check_results, write_poses
from repose.live.stages import Frame
from repose.pose import PER_FRAME, Pose3D
from repose.sequence import fill_gaps, missing
from repose.tracking.people import drop_ghosts


class Recording:
    """A sink that keeps everything that became final."""

    def __init__(self, folder: str | Path, *, force: bool = False) -> None:
        """Raise UserError where a result is there already without `force`, or nothing can be written."""
        self.folder, self._force = Path(folder), force
        check_results(folder, force=force)
        there = next(parent for parent in self.folder.absolute().parents if parent.is_dir())
        try:
            self._file = TemporaryFile(dir=there)  # noqa: SIM115  # until the program ends
        except OSError as error:
            raise UserError(
                f"{folder}: cannot be written ({error.strerror})", "Choose another folder."
            ) from None
        self._row: np.dtype[Any] | None = None
        self._last: dict[int, Pose3D] = {}

    def take(self, frame: Frame) -> None:
        """Keep the poses; raises UserError where the disk is full."""
        for pose in frame.poses:
            row = np.dtype(
                [("track_id", np.int64), ("placed", np.bool_)]
                + [(name, *_kind(pose, name)) for name in PER_FRAME if getattr(pose, name) is not None]
            )
            self._row = self._row or row
            rows = np.zeros(len(pose), self._row)
            rows["track_id"], rows["placed"] = pose.track_id, pose.coordinates == "camera"
            for name in self._row.names[2:]:  # type: ignore[index]
                rows[name] = getattr(pose, name)
            try:
                self._file.write(rows.tobytes())
            except OSError as error:
                raise UserError(
                    f"{self.folder}: cannot be recorded ({error.strerror})", "Free some disk space."
                ) from None
            before = self._last.get(pose.track_id)
            # One that is placed says with which camera.
            if before is None or pose.coordinates == "camera" or before.coordinates != "camera":
                self._last[pose.track_id] = pose

    def write(self, facts: dict[str, Any]) -> list[Pose3D]:
        """Write the result, with `facts` in its record; returns its people, none if nobody was seen.

        As in `repose.estimate`, tracks that are no people are left out, and the record says which.
        """
        if self._row is None:
            return []
        self._file.flush()
        rows = np.memmap(self._file, self._row, mode="r")
        poses = [self._person(rows[rows["track_id"] == track], facts) for track in self._last]
        poses, dropped = drop_ghosts(poses)
        if dropped:
            ghosts = [vars(ghost) for ghost in dropped]
            poses = [replace(pose, record={**pose.record, "not_people": ghosts}) for pose in poses]
        poses.sort(key=lambda pose: -len(pose))
        write_poses(poses, self.folder, force=self._force)
        return poses

    def close(self) -> None:
        """Forget what was kept."""
        self._file.close()

    def _person(self, rows: np.ndarray, facts: dict[str, Any]) -> Pose3D:
        last = self._last[int(rows["track_id"][0])]
        placed, root = rows["placed"], last.skeleton.parents.index(-1)
        arrays: dict[str, Any] = {n: np.ascontiguousarray(rows[n]) for n in self._row.names[2:]}  # type: ignore
        record = {
            **last.record,
            "frames_in": int((rows["confidence"] > 0).any(axis=1).sum()),
            "frames_filled": int((~(rows["confidence"] > 0).any(axis=1)).sum()),
            "gaps_left_empty": [list(gap) for gap in missing(rows["frames"])],
            **facts,
        }
        if placed.any():
            # Where a position was lost for a while the person stays between the places before and after.
            joints = arrays["joints_m"]
            places = fill_gaps(joints[:, root].astype(np.float64), placed, times_s=rows["times_s"])
            joints[~placed] += places[~placed, None].astype(np.float32)
            record["frames_with_interpolated_root"] = int((~placed).sum())
        return replace(last, **arrays, record=record)


def _kind(pose: Pose3D, name: str) -> tuple[Any, tuple[int, ...]]:
    values = getattr(pose, name)
    return values.dtype, values.shape[1:]
