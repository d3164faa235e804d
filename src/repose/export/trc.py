"""TRC out: marker positions as text, as used by OpenSim and Pose2Sim."""

from pathlib import Path

from repose.export.upright import y_up
from repose.pose import Pose3D
from repose.skeleton import marker_names


def write_trc(pose: Pose3D, path: Path, *, every_frame: bool = True) -> None:
    """Write a person in a world frame and at a constant rate (`repose.export.upright`) as markers.

    There is one at each joint, named as Pose2Sim does. Metres, which the header states, and y up, which it
    cannot. Frames count from 1 with the first of the source, times are the source's own. A frame that the
    pose lacks has empty cells, or no row at all unless `every_frame`.
    """
    markers = marker_names(pose.skeleton)
    first, last = int(pose.frames[0]), int(pose.frames[-1])
    frames = range(first, last + 1) if every_frame else pose.frames.tolist()
    places = y_up(pose.joints_m).reshape(len(pose), -1)
    rows = dict(zip(pose.frames.tolist(), places.tolist(), strict=True))
    header = {
        "DataRate": f"{pose.fps:g}",
        "CameraRate": f"{pose.fps:g}",
        "NumFrames": len(frames),
        "NumMarkers": len(markers),
        "Units": "m",
        "OrigDataRate": f"{pose.fps:g}",
        "OrigDataStartFrame": first + 1,
        "OrigNumFrames": len(frames),
    }
    axes = [f"{axis}{number}" for number in range(1, len(markers) + 1) for axis in "XYZ"]
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(f"PathFileType\t4\t(X/Y/Z)\t{' '.join(path.name.split())}\n")
        file.write("\t".join(header) + "\n" + "\t".join(map(str, header.values())) + "\n")
        file.write("Frame#\tTime\t" + "\t\t\t".join(markers) + "\t\t\n")
        file.write("\t\t" + "\t".join(axes) + "\n\n")
        for frame in frames:
            time_s = pose.times_s[0] + (frame - first) / pose.fps
            # The last of several empty cells needs a tab after it, or readers take it for none.
            cells = [f"{value:.6f}" for value in rows[frame]] if frame in rows else [""] * (len(axes) + 1)
            file.write("\t".join([str(frame + 1), f"{time_s:.6f}", *cells]) + "\n")
