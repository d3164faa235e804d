"""Render the sample video of the package, and the truth that belongs to it.

    python scripts/render/sample.py [--out src/repose/sample]

A distance field is marched in NumPy: the same pictures on every machine, up to rounding. Takes some
minutes on one core. The figure walks behind a counter, which hides its legs for about half of the time.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from figure import MATERIALS, Body, colour_of, make_body
from rich.progress import track
from sample_motion import FPS, Motion, make_motion

from repose.skeleton import H36M_17
from repose.video import write_video

WIDTH, HEIGHT = 640, 480
FOCAL_PX = 600.0
CAMERA_M = np.array([0.0, -3.75, 1.42])
PITCH_RAD = np.radians(9.0)
COUNTER_M = np.array([[-0.62, -0.80, 0.0], [0.72, -0.52, 0.88]])
"""Two opposite corners of the counter."""
WALL_Y_M = 1.6
SUN = np.array([-0.45, -0.62, 0.75]) / np.linalg.norm([-0.45, -0.62, 0.75])

# World axes to OpenCV camera axes (x right, y down, z forward), looking along +y and down a little.
R_CAM_WORLD = np.array(
    [
        [1, 0, 0],
        [0, -np.sin(PITCH_RAD), -np.cos(PITCH_RAD)],
        [0, np.cos(PITCH_RAD), -np.sin(PITCH_RAD)],
    ]
)
K = np.array([[FOCAL_PX, 0, WIDTH / 2], [0, FOCAL_PX, HEIGHT / 2], [0, 0, 1]])


def to_camera(points_m: np.ndarray) -> np.ndarray:
    return (points_m - CAMERA_M) @ R_CAM_WORLD.T


def project(camera_m: np.ndarray) -> np.ndarray:
    image = camera_m @ K.T
    return image[..., :2] / image[..., 2:]


def view_rays(u_px: np.ndarray, v_px: np.ndarray) -> np.ndarray:
    """Directions in the world with depth 1 in the camera, so that a ray's parameter is the depth."""
    ones = np.ones_like(u_px)
    camera = np.stack([(u_px - WIDTH / 2) / FOCAL_PX, (v_px - HEIGHT / 2) / FOCAL_PX, ones], -1)
    return camera @ R_CAM_WORLD


def hits_counter(direction: np.ndarray) -> np.ndarray:
    """Ray parameter at which rays from the camera enter the counter; infinite for those that miss it."""
    with np.errstate(divide="ignore", invalid="ignore"):
        crossings = np.stack([(corner - CAMERA_M) / direction for corner in COUNTER_M])
    enter = crossings.min(axis=0).max(axis=-1)
    leave = crossings.max(axis=0).min(axis=-1)
    return np.where((enter <= leave) & (leave > 0), enter, np.inf)


@dataclass(frozen=True)
class Scene:
    """What does not move: its picture without the counter's foreground, and the counter over it."""

    picture: np.ndarray
    counter: np.ndarray
    cover: np.ndarray
    """Share of each pixel that the counter covers."""
    floor_m: np.ndarray
    """Floor point seen by each pixel, NaN where there is none."""


def make_scene(samples: int = 3) -> Scene:
    """Floor of planks, wall with a picture, and the counter, each pixel the mean of samples²."""
    offsets = (np.arange(samples) + 0.5) / samples - 0.5
    v, u = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    total = {"picture": np.zeros((HEIGHT, WIDTH, 3)), "counter": np.zeros((HEIGHT, WIDTH, 3))}
    cover = np.zeros((HEIGHT, WIDTH))
    for dv in offsets:
        for du in offsets:
            rays = view_rays(u + du, v + dv)
            total["picture"] += _room(rays)
            depth = hits_counter(rays)
            hit = np.isfinite(depth)
            cover += hit
            total["counter"][hit] += _counter(CAMERA_M + rays[hit] * depth[hit][:, None])
    counter = total["counter"] / np.maximum(cover, 1)[..., None]
    rays = view_rays(u, v)
    with np.errstate(divide="ignore"):
        depth = -CAMERA_M[2] / rays[..., 2]
    floor = CAMERA_M + rays * depth[..., None]
    floor[(depth <= 0) | (floor[..., 1] > WALL_Y_M)] = np.nan
    return Scene(total["picture"] / samples**2, counter, cover / samples**2, floor)


def _grain(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A repeatable noise of plane waves, about -1 to 1."""
    waves = [(3.1, 1.7, 0.3), (7.3, -4.1, 1.9), (13.7, 9.2, 4.2), (29.0, -17.0, 2.2)]
    return sum(np.sin(a * x + b * y + c) for a, b, c in waves) / 4


def _room(rays: np.ndarray) -> np.ndarray:
    to_wall = (WALL_Y_M - CAMERA_M[1]) / rays[..., 1]
    wall = CAMERA_M + rays * to_wall[..., None]
    x, z = wall[..., 0], wall[..., 2]
    light = 0.62 + 0.10 * np.cos(0.7 * (x + 0.6)) + 0.03 * z
    colour = light[..., None] * np.array([0.93, 0.90, 0.84])
    frame = np.maximum(np.abs(x + 1.25) - 0.42, np.abs(z - 1.75) - 0.30)
    colour[frame < 0.04] = (0.30, 0.22, 0.15)
    inside = frame < 0
    hills = z - 1.70 - 0.09 * np.sin(5 * x) - 0.04 * np.sin(11 * x + 1)
    landscape = np.where((hills < 0)[..., None], (0.35, 0.47, 0.30), (0.62, 0.74, 0.82))
    colour[inside] = landscape[inside]
    colour[(z < 0.10)] = (0.80, 0.79, 0.76)
    colour[(z < 0.105) & (z > 0.095)] = (0.45, 0.44, 0.42)
    with np.errstate(divide="ignore"):
        to_floor = -CAMERA_M[2] / rays[..., 2]
    on_floor = (to_floor > 0) & (to_floor < to_wall)
    place = CAMERA_M + rays * np.where(on_floor, to_floor, 0)[..., None]
    x, y = place[..., 0], place[..., 1]
    plank = np.floor(y / 0.14)
    shade = 0.92 + 0.07 * np.sin(12.9 * plank) + 0.035 * _grain(1.2 * x + 3 * plank, 14 * y)
    shade *= np.where(np.abs(y / 0.14 - np.round(y / 0.14)) < 0.03, 0.72, 1.0)
    planks = shade[..., None] * np.array([0.52, 0.38, 0.26])
    near = np.abs(place - COUNTER_M.mean(0))[..., :2] - np.ptp(COUNTER_M, axis=0)[:2] / 2
    gap = np.linalg.norm(np.maximum(near, 0), axis=-1)
    planks *= (1 - 0.45 * np.exp(-gap / 0.12))[..., None]
    return np.where(on_floor[..., None], planks, colour)


def _counter(points_m: np.ndarray) -> np.ndarray:
    x, y, z = points_m.T
    top = z > COUNTER_M[1, 2] - 1e-4
    panel = np.abs(((x - COUNTER_M[0, 0]) / 0.335) % 1 - 0.5)
    front = np.where((panel > 0.47) | (z < 0.06), 0.55, 1.0) * (0.86 + 0.12 * z)
    front *= np.where(y > COUNTER_M[0, 1] + 1e-4, 0.7, 1.0)
    colour = front[:, None] * np.array([0.42, 0.52, 0.47])
    board = z > COUNTER_M[1, 2] - 0.04
    wood = (1.0 + 0.06 * _grain(2 * x, 30 * y + 8 * z))[:, None] * np.array([0.66, 0.50, 0.34])
    colour = np.where(board[:, None], 0.85 * wood, colour)
    return np.where(top[:, None], wood, colour)


def draw(scene: Scene, body: Body) -> np.ndarray:
    """One frame, linear RGB."""
    picture = scene.picture * _shadow(scene, body)[..., None]
    rows, columns = _window(body)
    v, u = (axis.ravel() for axis in np.mgrid[rows, columns].astype(np.float64))
    rays = view_rays(u, v)
    # Nothing is marched where the counter hides it.
    alive = np.flatnonzero(scene.cover[rows, columns].ravel() < 1)
    depth = np.full(len(rays), to_camera(body.start_m)[:, 2].min() - 0.12)
    far = to_camera(body.stop_m)[:, 2].max() + 0.25
    nearest = np.full(len(rays), np.inf)
    best = depth.copy()
    for _ in range(48):
        gap = body.distances_m(CAMERA_M + rays[alive] * depth[alive, None]).min(axis=-1)
        pixels = gap / (depth[alive] / FOCAL_PX)
        closer = pixels < nearest[alive]
        nearest[alive[closer]] = pixels[closer]
        best[alive[closer]] = depth[alive[closer]]
        going = gap > 2e-4
        depth[alive] += np.where(going, 0.92 * gap, 0)
        alive = alive[going & (depth[alive] < far)]
        if not len(alive):
            break
    # A ray that passes within a pixel of the body shows part of it: soft edges for one ray a pixel.
    cover = np.clip(1.05 - nearest, 0, 1)
    seen = np.flatnonzero(cover > 0)
    colours = _shade(body, CAMERA_M + rays[seen] * best[seen, None], rays[seen])
    cover = cover[seen, None]
    rows_seen, columns_seen = v[seen].astype(int), u[seen].astype(int)
    below = picture[rows_seen, columns_seen]
    picture[rows_seen, columns_seen] = below + cover * (colours - below)
    hide = scene.cover[..., None]
    return picture + hide * (scene.counter - picture)


def _window(body: Body, margin_m: float = 0.10) -> tuple[slice, slice]:
    corners = []
    for points in (body.start_m, body.stop_m):
        camera = to_camera(points)
        reach = margin_m * FOCAL_PX / camera[:, 2:]
        corners += [project(camera) - reach, project(camera) + reach]
    corner = np.concatenate(corners)
    low = np.maximum(np.floor(corner.min(0)), 0).astype(int)
    high = np.minimum(np.ceil(corner.max(0)), (WIDTH, HEIGHT)).astype(int)
    return slice(low[1], high[1]), slice(low[0], high[0])


def _shade(body: Body, points_m: np.ndarray, rays: np.ndarray) -> np.ndarray:
    distance = body.distances_m(points_m)
    material = distance.argmin(axis=-1)
    normal = np.zeros_like(points_m)
    for corner in ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)):  # gradient by a tetrahedron
        step = np.array(corner) * 0.002
        normal += corner * body.distances_m(points_m + step).min(axis=-1)[:, None].astype(np.float64)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True) + 1e-12
    open_m = body.distances_m(points_m + 0.06 * normal).min(axis=-1)
    open_sky = np.clip(0.35 + 0.65 * open_m / 0.06, 0.3, 1)
    lit = np.clip(normal @ SUN, 0, 1)
    for reach_m in (0.05, 0.11, 0.2):
        blocked = body.distances_m(points_m + 0.012 * normal + reach_m * SUN).min(axis=-1)
        lit = lit * np.clip(0.4 + blocked / (0.35 * reach_m), 0, 1)
    light = open_sky * (0.36 + 0.16 * normal[:, 2]) + 0.62 * lit
    light += 0.10 * open_sky * np.clip(-(normal * rays).sum(-1), 0, 1)
    colours = colour_of(body, points_m, material) * light[:, None]
    halfway = SUN - rays / np.linalg.norm(rays, axis=-1, keepdims=True)
    halfway /= np.linalg.norm(halfway, axis=-1, keepdims=True)
    gloss = np.isin(material, [MATERIALS.index(name) for name in ("skin", "head", "hair")])
    return colours + (gloss * 0.10 * lit * np.clip((normal * halfway).sum(-1), 0, 1) ** 24)[:, None]


def _shadow(scene: Scene, body: Body) -> np.ndarray:
    """How much light reaches the floor near the body, 1 elsewhere; worked out at half the resolution."""
    shade = np.ones((HEIGHT, WIDTH))
    floor = scene.floor_m[1::2, 1::2]
    middle = body.start_m.mean(axis=0)
    with np.errstate(invalid="ignore"):
        near = np.linalg.norm(floor[..., :2] - middle[:2] - [0.25, 0.35], axis=-1) < 1.3
    near &= scene.cover[1::2, 1::2] < 1
    points = floor[near]
    light = np.ones(len(points))
    for reach_m in (0.05, 0.12, 0.22, 0.36, 0.55, 0.8, 1.1, 1.45, 1.8):
        blocked = body.distances_m(points + reach_m * SUN).min(axis=-1)
        light = np.minimum(light, np.clip(0.5 + blocked / (0.10 + 0.10 * reach_m), 0, 1))
    close = np.clip(body.distances_m(points + np.array([0, 0, 0.03])).min(axis=-1) / 0.09, 0, 1)
    half = np.ones(near.shape)
    half[near] = (0.62 + 0.38 * light) * (0.7 + 0.3 * close)
    shade[:] = np.repeat(np.repeat(half, 2, axis=0), 2, axis=1)
    return (shade + np.roll(shade, 1, 0) + np.roll(shade, 1, 1) + np.roll(shade, (1, 1), (0, 1))) / 4


def to_bytes(linear: np.ndarray) -> np.ndarray:
    return (255 * np.clip(linear, 0, 1) ** (1 / 1.35) + 0.5).astype(np.uint8)


def make_truth(motion: Motion) -> dict[str, np.ndarray]:
    """Joints in the camera's frame, what hides them, and the camera."""
    world_m = np.stack([motion.joints_m[name] for name in H36M_17.joints], axis=1)
    camera_m = to_camera(world_m)
    rays = world_m - CAMERA_M
    return {
        "joints_m": camera_m.astype(np.float32),
        "joints": np.array(H36M_17.joints),
        "hidden": hits_counter(rays) < 1,
        "K": K,
        "image_size": np.array([WIDTH, HEIGHT]),
        "fps": np.array(FPS),
        "T_cam_world": np.block([[R_CAM_WORLD, (-R_CAM_WORLD @ CAMERA_M)[:, None]], [np.eye(4)[3:]]]),
    }


def pictures(motion: Motion, frames: range) -> Iterator[np.ndarray]:
    scene = make_scene()
    for frame in track(frames, description="Rendering"):
        joint = {name: places[frame] for name, places in motion.joints_m.items()}
        turn = {name: turns[frame] for name, turns in motion.orientation.items()}
        yield to_bytes(draw(scene, make_body(joint, turn)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(__file__).parents[2] / "src" / "repose" / "sample"
    parser.add_argument("--out", type=Path, default=default, help="folder for sample.mp4 and truth.npz")
    out = parser.parse_args().out
    motion = make_motion()
    truth = make_truth(motion)
    write_video(out / "sample.mp4", pictures(motion, range(len(truth["joints_m"]))), FPS, crf=18)
    partial = out / "truth.partial.npz"
    np.savez_compressed(partial, **truth)
    os.replace(partial, out / "truth.npz")


if __name__ == "__main__":
    sys.exit(main())
