"""A sheet of poses for a paper: moments side by side, the picture above and the scene in 3D below."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from repose.errors import UserError, expected
from repose.files.output import check_file, stage_file
from repose.video import Seeker, open_video
from repose.viewer.drawing import (
    INK,
    Picture,
    blank,
    cv2,
    draw_legend,
    draw_overlay,
    draw_space,
    text_width,
    write,
)
from repose.viewer.scene import Result, Scene, make_scene, view_camera

_SIDE_PX, _GAP_PX, _TEXT_PX, _ACROSS = 600, 24, 30, 6


def render_sheet(
    result: Result,
    path: str | Path,
    *,
    compare: Result | None = None,
    source: str | Path | None = None,
    frames: Sequence[int] = (),
    count: int = 6,
    picture: bool = True,
    force: bool = False,
) -> Scene:
    """Draw moments of a result as a PNG: the people in the picture, and a side view below.

    Six moments go into a row; each is 600 pixels wide, at 300 dpi.

    Args:
        result: result folder, its `poses.npz`, or tracks.
        path: the file to write.
        compare: as in `make_scene`.
        source: as in `make_scene`.
        frames: frame numbers of the source; by default `count` of them, evenly spaced.
        count: number of moments.
        picture: show the frames of the video, if there is one.
        force: overwrite an existing file.

    Returns:
        The scene that the sheet shows.

    Raises:
        UserError: as `make_scene`, for frames without a person, an output that cannot be written, an
            existing file without `force`, and without OpenCV.
    """
    check_file(path, force=force)
    scene = make_scene(result, compare, source=source)
    moments = _moments(scene, frames, count)
    cells = _cells(scene, moments, picture and scene.video is not None)
    rows = [cells[start : start + _ACROSS] for start in range(0, len(cells), _ACROSS)]
    height, width = cells[0].shape[0], len(rows[0]) * (_SIDE_PX + _GAP_PX) + _GAP_PX
    sheet = blank(width, len(rows) * (height + _GAP_PX) + 2 * _TEXT_PX + _GAP_PX)
    for down, row in enumerate(rows):
        for across, cell in enumerate(row):
            left, top = _GAP_PX + across * (_SIDE_PX + _GAP_PX), _GAP_PX + down * (height + _GAP_PX)
            sheet[top : top + height, left : left + _SIDE_PX] = cell
    draw_legend(sheet, scene, _TEXT_PX)
    from PIL import Image

    with stage_file(path) as partial:
        Image.fromarray(sheet).save(partial, format="png", dpi=(300, 300))
    return scene


def draw_moment(scene: Scene) -> Picture:
    """Draw the moment in the middle of a scene as a sheet does: the picture, if any, and the pose."""
    return _cells(scene, _moments(scene, (), 1), scene.video is not None)[0]


def _moments(scene: Scene, frames: Sequence[int], count: int) -> list[int]:
    """Numbers in the timeline of what is drawn."""
    somebody = np.isfinite(scene.boxes_m[0][:, 0])
    there = np.flatnonzero(somebody)
    if not frames:
        if count < 1:
            expected("count", "1 or more", count)
        return there[((np.arange(count) + 0.5) * len(there) / count).astype(int)].tolist()
    moments = [frame - int(scene.frames[0]) for frame in frames]
    for frame, moment in zip(frames, moments, strict=True):
        if not (0 <= moment < len(somebody) and somebody[moment]):
            raise UserError(
                f"frame {frame}: no person in it",
                f"People are in frames {scene.frames[there[0]]} to {scene.frames[there[-1]]}.",
            )
    return moments


def _cells(scene: Scene, moments: list[int], picture: bool) -> list[Picture]:
    shown: list[Picture | None] = [None] * len(moments)
    if picture and scene.video:
        with closing(Seeker(open_video(scene.video))) as seeker:
            shown = [_close_up(scene, moment, seeker.at(scene.video_times_s[moment])) for moment in moments]
    low, high = (corners[moments] for corners in scene.boxes_m)
    radius = float(np.linalg.norm(high - low, axis=-1).max()) / 2
    cells = []
    for moment, above, middle in zip(moments, shown, (low + high) / 2, strict=True):
        space = blank(_SIDE_PX, _SIDE_PX)
        draw_space(
            space, scene, moment, view_camera(scene, (_SIDE_PX, _SIDE_PX), middle, radius), trails=False
        )
        words = f"frame {scene.frames[moment]},  {scene.times_s[moment]:.2f} s"
        caption = blank(_SIDE_PX, 2 * _TEXT_PX)
        write(caption, words, (_SIDE_PX - text_width(words, _TEXT_PX)) // 2, _TEXT_PX // 2, _TEXT_PX, INK)
        cells.append(np.vstack([space, caption] if above is None else [above, space, caption]))
    return cells


def _close_up(scene: Scene, moment: int, frame: Picture | None) -> UInt8[np.ndarray, "side side 3"]:
    """Return the square of the picture that holds everybody, with their keypoints."""
    if frame is None:
        return blank(_SIDE_PX, _SIDE_PX)
    points = np.concatenate(
        [
            figure.points_px[figure.row(moment)]
            for figure in scene.figures
            if figure.points_px is not None and figure.row(moment) >= 0
        ]
        or [np.array([[0.0, 0.0], frame.shape[1::-1]])]
    )
    size = np.array(frame.shape[1::-1], dtype=np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    side = max(1.3 * float((high - low).max()), float(size.min()) / 3)
    corner = (low + high - side) / 2
    # Within the picture where it is large enough, in its middle where not.
    corner = np.where(size >= side, np.clip(corner, 0, np.maximum(size - side, 0)), (size - side) / 2)
    scale = _SIDE_PX / side
    origin: Any = (corner * scale).tolist()
    move = np.array([[scale, 0, -origin[0]], [0, scale, -origin[1]]])
    view = cv2().warpAffine(
        frame, move, (_SIDE_PX, _SIDE_PX), flags=cv2().INTER_AREA, borderValue=(255, 255, 255)
    )
    draw_overlay(view, scene, moment, scale, (origin[0], origin[1]))
    return view
