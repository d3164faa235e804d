"""Drawing on pictures: the 2D keypoints over a frame of the video, and the scene as a camera sees it."""

from functools import cache, lru_cache
from typing import Any

import numpy as np
from jaxtyping import Complex, Float, UInt8

from repose import palette
from repose.errors import needing
from repose.geometry.camera import Camera
from repose.palette import PALE, Rgb, mixed, rgb
from repose.viewer.scene import Figure, Scene

Picture = UInt8[np.ndarray, "height width 3"]

PAPER, INK = rgb(palette.PAPER), rgb(palette.INK)
TRAIL_S = 2.0
"""How far back the trail of the root goes."""

_BONE_M = 0.017  # radius
_SHIFT = 4  # OpenCV takes places in 1/16 of a pixel


@cache
def cv2() -> Any:
    """Import OpenCV; raises UserError where it is not installed."""
    with needing("drawing needs OpenCV", "pip install 'repose3d[view]'"):
        import cv2 as module
    return module


def blank(width: int, height: int, colour: Rgb = PAPER) -> Picture:
    picture = np.empty((height, width, 3), dtype=np.uint8)
    if picture.size:
        cv2().rectangle(picture, (0, 0), (width, height), colour, -1)
    return picture


def draw_overlay(
    picture: Picture, scene: Scene, frame: int, scale: float, origin_px: tuple[float, float] = (0.0, 0.0)
) -> None:
    """Draw everybody's 2D keypoints on a picture that is `scale` times the size of the video.

    `origin_px`: where in the enlarged video the picture's corner lies, for a part of it.
    """
    for figure in scene.figures:
        row = figure.row(frame)
        if figure.points_px is None or row < 0:
            continue
        points = figure.points_px[row] * scale - origin_px
        reach = np.ptp(points, axis=0).max()
        radius = float(np.clip(reach / 140, 1.2, picture.shape[0] / 200))
        _draw_skeleton(picture, figure, row, points, np.zeros(len(points)), np.full(len(points), radius))
        _draw_name(picture, scene, figure, points)


def draw_space(picture: Picture, scene: Scene, frame: int, camera: Camera, *, trails: bool = True) -> None:
    """Draw ground, trails and people as `camera` sees them; `picture` has the camera's size."""
    focal_px = camera.intrinsics_px[0]
    _draw_grid(picture, scene, frame, camera)
    everybody = range(len(scene.figures))
    joints = {number: scene.joints_m(number, frame) for number in everybody}
    present = {number: place for number, place in joints.items() if place is not None}
    for number, place in present.items():
        _draw_shadow(picture, scene.figures[number], place, camera)
    for number in everybody:
        if trails and not scene.figures[number].compared:
            _draw_trail(picture, scene, number, frame, camera)
    pictured = {number: camera.project_with_depth(place) for number, place in present.items()}
    by_distance = sorted(present, key=lambda number: -float(pictured[number][1].mean()))
    for number in sorted(by_distance, key=lambda number: not scene.figures[number].compared):
        figure = scene.figures[number]
        points, depths = pictured[number]
        row = figure.row(frame)
        if figure.pose.deviation_m is not None and not figure.compared:
            radii = figure.pose.deviation_m[row] * focal_px / depths
            _draw_deviation(picture, figure, row, points, radii)
        _draw_skeleton(picture, figure, row, points, depths, _BONE_M * focal_px / depths)
        _draw_name(picture, scene, figure, points)


def _draw_skeleton(
    picture: Picture,
    figure: Figure,
    row: int,
    points: Float[np.ndarray, "joints 2"],
    depths: Float[np.ndarray, " joints"],
    radii_px: Float[np.ndarray, " joints"],
) -> None:
    """Bones and joints, the far ones first; what was inferred is pale, its joints are rings."""
    colours, seen = [rgb(colour) for colour in figure.colours], figure.pose.seen[row] | figure.compared
    edges = np.maximum(1.0, 0.3 * radii_px)
    nearest = depths.copy()
    parts: list[tuple[float, int, int]] = []
    for child, parent in figure.pose.skeleton.bones:
        depth = float(depths[child] + depths[parent]) / 2
        nearest[[child, parent]] = np.minimum(nearest[[child, parent]], depth)
        parts.append((depth, child, parent))
    # A joint lies on the ends of its bones.
    parts += [(float(depth) - 1e-3, joint, joint) for joint, depth in enumerate(nearest)]
    for _, joint, other in sorted(parts, key=lambda part: -part[0]):
        if joint == other:
            disc(picture, points[joint], 1.35 * radii_px[joint] + edges[joint], PAPER)
            disc(picture, points[joint], 1.35 * radii_px[joint], colours[joint])
            if not seen[joint]:
                disc(picture, points[joint], 0.75 * radii_px[joint], PAPER)
        else:
            ends, radii = points[[joint, other]], radii_px[[joint, other]]
            capsule(picture, ends, radii + edges[[joint, other]], PAPER)
            capsule(
                picture,
                ends,
                radii,
                colours[joint] if seen[[joint, other]].all() else mixed(colours[joint], PALE),
            )


def _draw_name(picture: Picture, scene: Scene, figure: Figure, points: Float[np.ndarray, "joints 2"]) -> None:
    """Who it is, above the head, where there are several."""
    if figure.compared or sum(not other.compared for other in scene.figures) < 2:
        return
    size = max(12, picture.shape[0] // 34)
    width = text_width(figure.name, size)
    x, y = int(points[:, 0].mean() - width / 2), int(points[:, 1].min() - 2.2 * size)
    for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        write(picture, figure.name, x + dx, y + dy, size, PAPER)
    write(picture, figure.name, x, y, size, rgb(figure.colour))


def _draw_grid(picture: Picture, scene: Scene, frame: int, camera: Camera) -> None:
    """Squares of half a metre around the people, fading with distance."""
    centre = scene.centre_m[frame, :2]
    reach = max(2.0, 2.2 * scene.radius_m)
    step = 0.5
    start = np.floor((centre - reach) / step) * step
    marks = np.arange(0, 2 * reach + step, step)
    u, v = (start[0] + marks, start[1] + marks)
    pieces = []
    for across, along, flip in ((u, v, False), (v, u, True)):
        a, b = np.meshgrid(across, along, indexing="ij")
        lines = np.stack([b, a] if flip else [a, b], axis=-1)
        pieces.append(np.stack([lines[:, :-1], lines[:, 1:]], axis=2).reshape(-1, 2, 2))
    flat = np.concatenate(pieces)
    strength = 1 - np.linalg.norm(flat.mean(axis=1) - centre, axis=-1) / reach
    points = camera.project(np.concatenate([flat, np.zeros((*flat.shape[:2], 1))], axis=-1))
    level = np.ceil(strength * 6).astype(int)
    for shade in range(1, 7):
        colour = mixed(rgb(palette.GRID), min(1.0, shade / 4))
        cv2().polylines(
            picture, list(_fixed(points[level == shade])), False, colour, 1, cv2().LINE_AA, _SHIFT
        )


def _draw_shadow(picture: Picture, figure: Figure, joints: np.ndarray, camera: Camera) -> None:
    points, depths = camera.project_with_depth(joints * (1, 1, 0))
    for bone in figure.pose.skeleton.bones:
        capsule(
            picture,
            points[list(bone)],
            1.2 * _BONE_M * camera.intrinsics_px[0] / depths[list(bone)],
            rgb(palette.SHADOW),
        )


def _draw_trail(picture: Picture, scene: Scene, number: int, frame: int, camera: Camera) -> None:
    points = camera.project(scene.trail_m(number, frame, TRAIL_S))
    colour = rgb(scene.figures[number].colour)
    for shade, piece in enumerate(np.array_split(np.arange(len(points)), 8), start=1):
        if len(piece):
            path = _fixed(points[piece[0] : piece[-1] + 2])
            cv2().polylines(picture, [path], False, mixed(colour, 0.08 * shade), 2, cv2().LINE_AA, _SHIFT)


def _draw_deviation(
    picture: Picture, figure: Figure, row: int, points: np.ndarray, radii: np.ndarray
) -> None:
    """Draw a translucent ball of one standard deviation around every inferred joint."""
    for joint in np.flatnonzero(~figure.pose.seen[row]):
        (x, y), radius = points[joint], float(radii[joint])
        left, top = max(0, int(x - radius - 2)), max(0, int(y - radius - 2))
        part = picture[top : int(y + radius + 3), left : int(x + radius + 3)]
        if part.size:
            inside = part.copy()
            disc(inside, np.array([x - left, y - top]), radius, rgb(figure.colours[joint]))
            cv2().addWeighted(inside, 0.2, part, 0.8, 0, part)


# Corners of round ends, as complex numbers: half a circle around the start of a bone that points along x.
_HALF = 1j * np.exp(1j * np.linspace(0, np.pi, 9))
_CIRCLE = np.exp(1j * np.linspace(0, 2 * np.pi, 24, endpoint=False))


def capsule(
    picture: Picture, ends: Float[np.ndarray, "2 2"], radii_px: Float[np.ndarray, "2"], colour: Rgb
) -> None:
    """Draw a bone: two round ends joined, anti-aliased at any position and thickness."""
    start, end = complex(*ends[0]), complex(*ends[1])
    along = (end - start) / max(abs(end - start), 1e-9)
    _fill(
        picture,
        np.concatenate([start + radii_px[0] * along * _HALF, end - radii_px[1] * along * _HALF]),
        colour,
    )


def disc(picture: Picture, centre: Float[np.ndarray, "2"], radius_px: float, colour: Rgb) -> None:
    _fill(picture, complex(*centre) + radius_px * _CIRCLE, colour)


def _fill(picture: Picture, corners: Complex[np.ndarray, " corners"], colour: Rgb) -> None:
    # Far outside, OpenCV's fixed-point numbers would overflow.
    if np.abs(corners).max() < 1e5:
        places = _fixed(corners.view(np.float64).reshape(-1, 2))
        cv2().fillConvexPoly(picture, places, colour, cv2().LINE_AA, _SHIFT)


def _fixed(places: np.ndarray) -> np.ndarray:
    return np.round(places * 2**_SHIFT).astype(np.int32)


def write(picture: Picture, text: str, x: int, y: int, size: int, colour: Rgb = INK) -> None:
    """Write a line whose top left corner is at (x, y)."""
    mask = _letters(text, size)
    left, top = max(0, -x), max(0, -y)
    part = picture[max(0, y) : max(0, y + mask.shape[0]), max(0, x) : max(0, x + mask.shape[1])]
    share = mask[top : top + part.shape[0], left : left + part.shape[1], None] / np.float32(255)
    part[:] = (part * (1 - share) + np.array(colour, dtype=np.float32) * share).astype(np.uint8)


def text_width(text: str, size: int) -> int:
    return _letters(text, size).shape[1]


@cache
def _font(size: int) -> Any:
    with needing("text needs Pillow", "pip install 'repose3d[view]'"):
        from PIL import ImageFont
    return ImageFont.load_default(size)


@lru_cache(256)
def _letters(text: str, size: int) -> UInt8[np.ndarray, "height width"]:
    from PIL import Image, ImageDraw

    font = _font(size)
    width = max(1, round(font.getlength(text)))
    image = Image.new("L", (width, round(size * 1.3)))
    ImageDraw.Draw(image).text((0, 0), text, 255, font)
    return np.asarray(image)


def draw_legend(picture: Picture, scene: Scene, size: int) -> None:
    """Draw what the colours mean, at the bottom right."""
    people = [figure for figure in scene.figures if not figure.compared]
    rows = [("left", palette.SIDES["left"], "disc"), ("right", palette.SIDES["right"], "disc")]
    if not all(figure.pose.seen.all() for figure in people):
        rows.append(("inferred", palette.MIDDLE, "ring"))
        if any(figure.pose.deviation_m is not None for figure in people):
            rows.append(("deviation", palette.MIDDLE, "haze"))
    if len(people) < len(scene.figures):
        rows.append(("compared", palette.COMPARED, "disc"))
    height, x = picture.shape[0], picture.shape[1] - size
    for words, name, kind in reversed(rows):
        x -= text_width(words, size)
        write(picture, words, x, height - round(1.9 * size), size)
        x -= size
        middle, colour = np.array([x + 0.35 * size, height - 1.3 * size]), rgb(name)
        disc(picture, middle, 0.36 * size, mixed(colour, 0.25) if kind == "haze" else colour)
        if kind == "ring":
            disc(picture, middle, 0.2 * size, PAPER)
        x -= size
