"""A video of the 2D keypoints with the 3D scene next to it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from repose.errors import UserError, expected
from repose.files.output import check_file
from repose.video import VideoFrame, open_video, write_video
from repose.viewer.drawing import Picture, blank, draw_legend, draw_overlay, draw_space, write
from repose.viewer.scene import Result, Scene, make_scene, view_camera

Progress = Callable[[str, int, int | None], None]
"""Told what is being done, how many frames of it are done, and of how many (None where unknown)."""

_SLATE = (40, 44, 48)


def render_video(
    result: Result,
    path: str | Path,
    *,
    compare: Result | None = None,
    source: str | Path | None = None,
    height: int = 720,
    picture: bool = True,
    force: bool = False,
    progress: Progress | None = None,
) -> Scene:
    """Write a video of everybody's 2D keypoints with the 3D scene next to it; returns the scene.

    Every frame of the video keeps its own time, and the sound is kept; without a video (`picture` false,
    or a result from keypoints) the frames of the result are drawn. Slow motion stays slow, as in the video;
    the time shown in the picture is the motion's. One frame is in memory at a time.

    Args:
        result: result folder, its `poses.npz`, or tracks.
        path: file ending in .mp4, .mov or .mkv.
        compare: as in `make_scene`.
        source: as in `make_scene`.
        height: in pixels, at most that of the video.
        picture: show the frames of the video.
        force: overwrite an existing file.
        progress: called with what is done, how many frames of it, and of how many.

    Raises:
        UserError: as `make_scene` and `repose.video.write_video`, if the video has gone, for an existing
            file without `force`, and without OpenCV.
    """
    check_file(path, force=force)
    scene = make_scene(result, compare, source=source)
    if picture and scene.no_video_reason:
        raise UserError(
            f"no picture for this result: {scene.no_video_reason}",
            "Give its path with --source, or use --no-picture.",
        )
    if scene.video and scene.video.resolve() == Path(path).resolve():
        raise UserError(f"{path}: this is the video that the result was made from", "Choose another name.")
    if not 120 <= height <= 4320:
        expected("height", "120 to 4320 pixels", height)
    if picture and scene.video:
        video = open_video(scene.video).scaled(height)
        frames, total, sound = iter(video), video.info.frames, scene.video if video.info.has_audio else None
        height = video.info.height
    else:
        frames, total, sound = _slates(scene, height), len(scene.frames), None
    pictures = _drawn(scene, frames, height, total, progress)
    write_video(path, pictures, scene.fps / scene.slow_motion, preset="veryfast", sound=sound)
    return scene


def _slates(scene: Scene, height: int) -> Iterator[VideoFrame]:
    """Return a dark picture for every frame of the timeline, of zero width without keypoints."""
    width = 0
    if scene.image_size and any(figure.points_px is not None for figure in scene.figures):
        width = round(height * scene.image_size[0] / scene.image_size[1])
    slate = blank(width, height, _SLATE)
    for frame, time_s in zip(scene.frames, scene.video_times_s - scene.video_times_s[0], strict=True):
        yield VideoFrame(int(frame), float(time_s), slate.copy())


def _drawn(
    scene: Scene, frames: Iterator[VideoFrame], height: int, total: int | None, progress: Progress | None
) -> Iterator[VideoFrame]:
    for done, source in enumerate(frames, start=1):
        frame = source.index - int(scene.frames[0])
        space = blank(height, height)
        if 0 <= frame < len(scene.frames):
            if source.rgb.size and scene.image_size:
                draw_overlay(source.rgb, scene, frame, height / scene.image_size[1])
            draw_space(
                space,
                scene,
                frame,
                view_camera(scene, (height, height), scene.centre_m[frame], scene.radius_m),
            )
        _caption(space, scene, source)
        yield VideoFrame(source.index, source.time_s, np.hstack([source.rgb, space]))
        if progress:
            progress("drawing", done, max(done, total) if total else None)


def _caption(space: Picture, scene: Scene, source: VideoFrame) -> None:
    size = max(10, space.shape[0] // 42)
    low = space.shape[0] - round(1.9 * size)
    write(space, f"frame {source.index}", size, low, size)
    write(space, f"{source.time_s / scene.slow_motion:.2f} s", round(7.5 * size), low, size)
    draw_legend(space, scene, size)
