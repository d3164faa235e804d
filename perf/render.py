"""How fast results are drawn: `repose render --video` at 720p, and a plain form with Matplotlib beside it.

    python perf/render.py [--frames 288] [--plain-frames 20]

The plain form is that of the published demos: a figure a frame, the picture with the 2D joints on its left
and 3D axes on its right, saved as PNG and read back for the video. Both draw the sample video, brought to
1280 x 720 at 30 frames a second, beside a 3D view as high as it. "CPU s" counts all threads together, so
that it says the same on a busy machine.
"""

import argparse
import io
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from cost import cost, peak_mb

from repose.palette import side_colour
from repose.pose import Pose3D
from repose.sample import load_sample_truth, sample_video
from repose.video import VideoFrame, open_video, write_video
from repose.viewer import render_video

SIZE = (1280, 720)


def enlarged(frames: int) -> Iterator[VideoFrame]:
    """The sample's frames without 60 rows above and below, twice as large."""
    for frame in islice(open_video(sample_video()), frames):
        yield VideoFrame(frame.index, frame.time_s, cv2.resize(frame.rgb[60:420], SIZE))


def walker(frames: int) -> Pose3D:
    truth = load_sample_truth().pose()
    points = (np.asarray(truth.points_px) - (0, 60)) * 2
    names = ("joints_m", "seen", "frames", "confidence", "times_s")
    parts = {name: getattr(truth, name)[:frames] for name in names}
    fx, fy, cx, cy = np.array(truth.intrinsics_px) * 2 - (0, 0, 0, 120)
    intrinsics = (float(fx), float(fy), float(cx), float(cy))
    return replace(truth, **parts, points_px=points[:frames], image_size=SIZE, intrinsics_px=intrinsics)


def plain(pose: Pose3D, video: Path, path: Path, frames: int) -> None:
    """The same content with Matplotlib, a figure a frame."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    colours = [side_colour(joint) for joint in pose.skeleton.joints]

    def pictures() -> Iterator[np.ndarray]:
        for row, frame in enumerate(islice(open_video(video), frames)):
            figure = plt.figure(figsize=(20, 7.2), dpi=100)
            flat = figure.add_axes((0, 0, 0.64, 1))
            flat.imshow(frame.rgb)
            flat.set_axis_off()
            space = figure.add_axes((0.64, 0, 0.36, 1), projection="3d")
            x, y, z = pose.root_relative_m()[row].T
            joints = np.stack([x, z, -y], axis=-1)
            for child, parent in pose.skeleton.bones:
                flat.plot(*pose.points_px[row, [child, parent]].T, color=colours[child], linewidth=3)
                space.plot(*joints[[child, parent]].T, color=colours[child], linewidth=3)
            flat.scatter(*pose.points_px[row].T, c=colours, s=20, zorder=3)
            space.scatter(*joints.T, c=colours, s=30)
            space.set(xlim=(-1, 1), ylim=(-1, 1), zlim=(-1, 1))
            space.view_init(elev=14, azim=-55)
            file = io.BytesIO()
            figure.savefig(file, format="png")
            plt.close(figure)
            yield cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]

    write_video(path, pictures(), pose.fps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--frames", type=int, default=288)
    parser.add_argument("--plain-frames", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        video, out = Path(folder) / "video.mp4", Path(folder) / "out.mp4"
        write_video(video, enlarged(options.frames), 30.0, preset="veryfast")
        pose = walker(options.frames)
        render_video([pose], out, source=video, height=240)  # imports, caches
        print("                 frames   wall s  frames/s    CPU s  frames/CPU s")
        rates = []
        for name, frames in (("repose render", options.frames), ("Matplotlib", options.plain_frames)):
            if name == "Matplotlib":
                wall, cpu = cost(lambda: plain(pose, video, out, options.plain_frames))
            else:
                wall, cpu = cost(lambda: render_video([pose], out, source=video, force=True))
            rates.append(frames / cpu)
            print(f"{name:15} {frames:7d} {wall:8.2f} {frames / wall:9.1f} {cpu:8.2f} {frames / cpu:13.1f}")
            if name != "Matplotlib":
                most = peak_mb()
        print(f"ratio of frames/CPU s: {rates[0] / rates[1]:.0f}")
        print(f"real time is {pose.fps:.0f} frames/s; most memory of repose render: {most:.0f} MB")


if __name__ == "__main__":
    main()
