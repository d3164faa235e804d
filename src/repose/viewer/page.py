"""A single page that shows a result: no server, no network, everything in one file.

The motion is whole numbers of millimetres and quarter pixels; from row to row only their differences are
kept, split into low and high bytes, and deflated: a minute of one person at 60 frames a second takes a
few hundred kilobytes. The video comes along small, as H.264 of a bounded rate.
"""

import base64
import json
import math
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from repose import palette
from repose.files.output import check_file, stage_file
from repose.sequence import runs
from repose.video import open_video, write_video
from repose.viewer.film import Progress
from repose.viewer.scene import FOV_DEG, VIEWS_DEG, Figure, Result, Scene, make_scene

WEB = Path(__file__).parent / "web"
COLOURS = {
    **palette.SIDES,
    "middle": palette.MIDDLE,
    "compared": palette.COMPARED,
    "paper": palette.PAPER,
    "ink": palette.INK,
    "grid": palette.GRID,
    "shadow": palette.SHADOW,
    "frame": palette.FRAME,
}
_STYLE = f":root {{ --ink: {palette.INK}; --paper: {palette.PAPER}; --accent: {palette.SIDES['left']}; }}\n"
_PICTURE_AREA_PX = 640 * 360
_PICTURE_RATE_HZ = 32
_PICTURE_KBIT_S = 330
"""So a minute of pictures is at most 2.5 MB, 3.3 MB in the page's letters."""


def write_page(
    result: Result,
    path: str | Path,
    *,
    compare: Result | None = None,
    source: str | Path | None = None,
    picture: bool = True,
    force: bool = False,
    progress: Progress | None = None,
) -> Scene:
    """Write a single page that shows a result, for any browser since 2023 to open from disk.

    Args:
        result: result folder, its `poses.npz`, or tracks.
        path: the file to write.
        compare: as in `make_scene`.
        source: as in `make_scene`.
        picture: include a small copy of the video.
        force: overwrite an existing file.
        progress: called with what is done, how many frames of it, and of how many.

    Returns:
        The scene that the page shows.

    Raises:
        UserError: as `make_scene`, for an existing file without `force`, and for an output that cannot
            be written.
    """
    check_file(path, force=force)
    scene = make_scene(result, compare, source=source)
    step = max(1, math.ceil(scene.fps / _PICTURE_RATE_HZ))
    film = _film(scene, step, progress) if picture and scene.video else b""
    motion = _Motion()
    about = _about(scene, motion)
    about["film"] = {"step": step, "rate": scene.fps / step} if film else None
    parts = {
        "style": viewer_style(),
        "viewer": source_text("viewer.html"),
        "scene": json.dumps(about, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c"),
        "motion": base64.b64encode(motion.deflated()).decode("ascii"),
        "picture": base64.b64encode(film).decode("ascii"),
        "script": source_text("viewer.js") + source_text("page.js"),
    }
    with stage_file(path) as partial:
        partial.write_text(fill_in(source_text("page.html"), parts), encoding="utf-8")
    return scene


def source_text(name: str) -> str:
    """Return one of the sources of what runs in a browser."""
    return (WEB / name).read_text(encoding="utf-8")


def viewer_style() -> str:
    """Return the style of the viewer, with the colours of the palette."""
    return _STYLE + source_text("viewer.css")


def fill_in(template: str, parts: Mapping[str, str]) -> str:
    """Put the parts where `template` names them in double braces; nothing in a part is taken for a name."""
    pieces = (piece.partition("}}") for piece in template.split("{{"))
    return "".join(parts[name] + rest if closed else name for name, closed, rest in pieces)


class _Motion:
    """Numbers over time, packed one after the other."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def add(self, values: Float[np.ndarray, "rows *rest"], unit: float) -> dict[str, Any]:
        """Pack `values` in whole `unit`s, coarser where they reach too far; how to unpack them."""
        table = values.astype(np.float64).reshape(len(values), -1)
        low, high = float(table.min(initial=0)), float(table.max(initial=0))
        unit = max(unit, (high - low) / 65_000)
        whole = np.round((table - (low + high) / 2) / unit).astype(np.int64)
        steps = np.diff(whole, axis=0, prepend=0).astype(np.int16).view(np.uint16)
        self._parts += [(steps & 255).astype(np.uint8).tobytes(), (steps >> 8).astype(np.uint8).tobytes()]
        return {"rows": table.shape[0], "columns": table.shape[1], "unit": unit, "middle": (low + high) / 2}

    def add_bytes(self, values: UInt8[np.ndarray, "rows columns"]) -> dict[str, Any]:
        self._parts.append(values.tobytes())
        return {"rows": values.shape[0], "columns": values.shape[1]}

    def deflated(self) -> bytes:
        return zlib.compress(b"".join(self._parts), 9)


def _about(scene: Scene, motion: _Motion) -> dict[str, Any]:
    """Everything about the scene but its numbers over time, which go to `motion`, in this order."""
    camera = scene.camera
    return {
        "title": scene.title,
        "notes": scene.notes,
        "fps": scene.fps,
        "first": int(scene.frames[0]),
        "size": scene.image_size,
        "facing": scene.facing_rad,
        "radius": scene.radius_m,
        "fov": FOV_DEG,
        "views": VIEWS_DEG,
        "colours": COLOURS,
        "pale": palette.PALE,
        "camera": camera and {"K": camera.K.tolist(), "T": camera.T_cam_world.matrix.tolist()},
        "times": motion.add(scene.times_s[:, None], 1e-4),
        "centre": motion.add(scene.centre_m, 1e-3),
        "figures": [_figure(figure, len(scene.frames), motion) for figure in scene.figures],
    }


def _figure(figure: Figure, frames: int, motion: _Motion) -> dict[str, Any]:
    pose = figure.pose
    # The rows that are on the timeline: another result may go beyond it.
    rows = np.flatnonzero((figure.places >= 0) & (figure.places < frames))
    there = np.zeros(frames, dtype=bool)
    there[figure.places[rows]] = True
    return {
        "name": figure.name,
        "colour": figure.colour,
        "colours": figure.colours,
        "bones": pose.skeleton.bones,
        "root": figure.root,
        "partner": figure.counterpart,
        "runs": [(start, stop - start) for start, stop in runs(there)],
        "joints": motion.add(figure.joints_m[rows], 1e-3),
        "seen": motion.add_bytes(pose.seen[rows].astype(np.uint8)),
        "points": None if figure.points_px is None else motion.add(figure.points_px[rows], 0.25),
        "deviation": None if pose.deviation_m is None else motion.add(pose.deviation_m[rows], 1e-3),
    }


def _film(scene: Scene, step: int, progress: Progress | None) -> bytes:
    """Every `step`-th frame of the timeline as a small video; a lost frame shows the one before it."""
    assert scene.video is not None
    video = open_video(scene.video)
    width, height = video.info.width, video.info.height
    video = video.scaled(round(min(height, (_PICTURE_AREA_PX * height / width) ** 0.5)))

    def pictures() -> Iterator[np.ndarray]:
        walk = iter(video)
        latest = next(walk)
        following = next(walk, None)
        for done, wanted in enumerate(scene.frames[::step].tolist(), start=1):
            while following is not None and following.index <= wanted:
                latest, following = following, next(walk, None)
            yield latest.rgb
            if progress:
                progress("making the video small", done * step, len(scene.frames))

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        rate = scene.fps / step
        write_video(path, pictures(), rate, 27, preset="medium", keyframe_s=1.0, most_kbit_s=_PICTURE_KBIT_S)
        return path.read_bytes()
