"""Places and people of rendered clips, drawn by chance: rooms and fields, clothes, light, and what stands
between the camera and the person."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from figure import COLOURS, MATERIALS, Body, Look, make_body
from raster import OBJECT, PERSON, Canvas, Lens
from torch import Generator

from repose.skeleton import H36M_17
from repose.synthetic.occlusion import OCCLUDERS as FLAT
from repose.synthetic.occlusion import Billboards
from repose.synthetic.procedural import ProceduralConfig, make_motion

MADE_FOR_M = 1.74
"""Height of the person whom `figure.make_body` is made for."""
_SKIN = ((0.88, 0.66, 0.54), (0.80, 0.57, 0.44), (0.62, 0.42, 0.30), (0.44, 0.28, 0.19), (0.27, 0.17, 0.12))
_HAIR = ((0.13, 0.08, 0.05), (0.05, 0.04, 0.04), (0.45, 0.30, 0.14), (0.62, 0.55, 0.45), (0.35, 0.14, 0.06))


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def axes(left: np.ndarray, up: np.ndarray) -> np.ndarray:
    """Columns forward, left, up."""
    up = unit(up)
    left = unit(left - (left * up).sum(-1, keepdims=True) * up)
    return np.stack([np.cross(left, up), left, up], -1)


def orientations(joints_m: np.ndarray) -> dict[str, np.ndarray]:
    """Axes of pelvis, thorax, head and feet, (frames, 3, 3), that the joints of H36M-17 suggest."""

    def at(joint: str) -> np.ndarray:
        return joints_m[:, H36M_17.index(joint)]

    def without(vector: np.ndarray, along: np.ndarray) -> np.ndarray:
        return vector - (vector * along).sum(-1, keepdims=True) * along

    pelvis = axes(at("left_hip") - at("right_hip"), at("spine") - at("pelvis"))
    thorax = axes(at("left_shoulder") - at("right_shoulder"), at("thorax") - at("spine"))
    up = unit(at("head_top") - at("thorax"))
    ahead = without(at("nose") - at("thorax"), up) + 0.03 * thorax[..., 0]
    turn = {"pelvis": pelvis, "thorax": thorax, "head": axes(np.cross(up, ahead), up)}
    for side in ("left", "right"):
        thigh, shank = (
            unit(at(f"{side}_{end}") - at(f"{side}_{start}"))
            for start, end in (("hip", "knee"), ("knee", "ankle"))
        )
        # The knee bends to the front; a straight leg's toes point as the pelvis does.
        ahead = without(thigh - shank, shank) + 0.25 * without(pelvis[..., 0], shank)
        turn[f"{side}_foot"] = axes(np.cross(-shank, ahead), -shank)
    return turn


@dataclass(frozen=True)
class Actor:
    """A body that moves, in the camera frame."""

    joints_m: np.ndarray
    turn: dict[str, np.ndarray]
    look: Look
    scale: float

    @classmethod
    def of(cls, joints_m: np.ndarray, height_m: float, rng: np.random.Generator) -> "Actor":
        joints = joints_m.astype(np.float64)
        return cls(joints, orientations(joints), draw_look(rng), height_m / MADE_FOR_M)

    def body(self, frame: int) -> Body:
        joint = {name: self.joints_m[frame, i] / self.scale for i, name in enumerate(H36M_17.joints)}
        body = make_body(joint, {name: turns[frame] for name, turns in self.turn.items()}, self.look)
        return Body(
            self.scale * body.start_m,
            self.scale * body.stop_m,
            self.scale * body.start_radius_m,
            self.scale * body.stop_radius_m,
            body.material,
            self.scale * body.head_m,
            body.head_turn,
            self.scale * body.thorax_m,
            body.thorax_turn,
        )


def draw_look(rng: np.random.Generator) -> Look:
    colours = COLOURS.copy()
    skin = np.array(_SKIN[rng.integers(len(_SKIN))])
    for name, colour in (
        ("shirt", rng.uniform(0.05, 0.9, 3)),
        ("trousers", rng.uniform(0.03, 0.6, 3)),
        ("skin", skin),
        ("head", 1.02 * skin),
        ("hair", _HAIR[rng.integers(len(_HAIR))]),
        ("shoe", rng.uniform(0.05, 0.9, 3)),
    ):
        colours[MATERIALS.index(name)] = colour
    return Look(colours, float(rng.uniform(0.88, 1.2)), bool(rng.random() < 0.4), bool(rng.random() < 0.3))


def draw_sun(up: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Direction towards the light: above, and rather on the camera's side."""
    return unit(up * rng.uniform(0.4, 1.2) + rng.normal(0, 0.5, 3) + np.array([0, 0, -0.4]))


def _waves(x: np.ndarray, y: np.ndarray, rng: np.random.Generator, count: int = 6) -> np.ndarray:
    """Noise of plane waves, about -1 to 1."""
    total = np.zeros_like(x)
    for octave in range(count):
        a, b = rng.normal(0, 1.6**octave, 2)
        total += np.sin(a * x + b * y + rng.uniform(0, 7)) * 0.8**octave
    return total / 3


@dataclass(frozen=True)
class Place:
    """Floor and what is behind it, without anybody."""

    rgb: np.ndarray
    floor_m: np.ndarray
    """Floor point seen by each pixel (camera frame), NaN where there is none."""

    def shadowed(self, feet_m: np.ndarray) -> np.ndarray:
        """The picture with the soft shadow of somebody whose feet are there."""
        away = np.linalg.norm(self.floor_m - feet_m.mean(axis=0), axis=-1)
        shade = 1 - 0.45 * np.exp(-np.nan_to_num((away / 0.35) ** 2, nan=1e3))
        return self.rgb * shade[..., None]


def draw_place(
    lens: Lens, up: np.ndarray, feet_m: np.ndarray, far_m: float, rng: np.random.Generator
) -> Place:
    """A floor under the feet, and a wall beyond `far_m` or a sky."""
    rays = lens.rays.astype(np.float64)
    sinks = rays @ up
    with np.errstate(divide="ignore"):
        to_floor = np.where(sinks < 0, (feet_m @ up) / sinks, np.inf)
    back_m = far_m + rng.uniform(0.8, 4.0)
    outdoors = rng.random() < 0.4
    on_floor = (to_floor > 0) & (to_floor < (60.0 if outdoors else back_m))
    floor_m = np.where(on_floor[..., None], rays * np.where(on_floor, to_floor, 0)[..., None], np.nan)
    right = unit(np.cross(up, np.array([0.0, 0.0, 1.0])))
    x, z = np.nan_to_num(floor_m @ right), np.nan_to_num(floor_m @ np.cross(right, up))
    kind = rng.integers(3)
    if kind == 0:  # planks
        width = rng.uniform(0.08, 0.25)
        shade = 0.9 + 0.08 * np.sin(12.9 * np.floor(z / width)) + 0.05 * _waves(x, 9 * z, rng)
        shade *= np.where(np.abs(z / width - np.round(z / width)) < 0.04, 0.72, 1.0)
    elif kind == 1:  # tiles
        side = rng.uniform(0.2, 0.8)
        shade = 0.85 + 0.15 * ((np.floor(x / side) + np.floor(z / side)) % 2)
    else:  # grass, gravel, carpet
        shade = 0.9 + 0.15 * _waves(6 * x, 6 * z, rng) + rng.normal(0, 0.04, x.shape)
    floor = shade[..., None] * rng.uniform(0.15, 0.8, 3)
    height = rays @ up * back_m
    across = rays @ right * back_m
    if outdoors:
        behind = np.array([0.55, 0.68, 0.85]) + 0.12 * _waves(0.3 * across, 0.8 * height, rng)[..., None]
        trees = height < rng.uniform(0.3, 2.5) + 0.5 * _waves(0.7 * across, 0 * height, rng)
        leaves = 0.75 + 0.3 * _waves(4 * across, 4 * height, rng)
        behind[trees] = leaves[trees][:, None] * rng.uniform((0.1, 0.2, 0.05), (0.3, 0.45, 0.2))
    else:
        behind = (0.85 + 0.08 * _waves(0.4 * across, 0.4 * height, rng))[..., None] * rng.uniform(
            0.3, 0.95, 3
        )
        for _ in range(rng.integers(0, 6)):  # windows, pictures, furniture
            middle, size = rng.uniform((-3, -1), (3, 2.5)), rng.uniform(0.15, 0.9, 2)
            inside = (np.abs(across - middle[0]) < size[0]) & (np.abs(height - middle[1]) < size[1])
            pattern = 0.8 + 0.3 * _waves(3 * across, 3 * height, rng)
            behind[inside] = pattern[inside][:, None] * rng.uniform(0.1, 0.95, 3)
    return Place(np.where(on_floor[..., None], floor, behind), floor_m)


def _bars(joints_m: torch.Tensor, fps: float, generator: Generator) -> Billboards:
    """A fence of upright bars over the whole width."""
    one = FLAT["pole"](joints_m, fps, generator)
    batch = len(joints_m)
    wide = one.half_size[:, :1, 0] * (0.5 + 0.5 * torch.rand(batch, 1, generator=generator))
    gap = wide * (4 + 4 * torch.rand(batch, 1, generator=generator))
    number = torch.arange(-12, 13)
    x = one.centre[..., 0] + gap[:, None] * number
    return Billboards(
        torch.stack([x, torch.zeros_like(x)], -1),
        torch.stack([wide.expand(-1, 25), torch.full((batch, 25), 100.0)], -1),
        one.depth_m.expand(-1, 25),
    )


def _box(joints_m: torch.Tensor, fps: float, generator: Generator) -> Billboards:
    """A chair, crate or bush that stands before one leg or both."""
    counter, pole = FLAT["counter"](joints_m, fps, generator), FLAT["pole"](joints_m, fps, generator)
    width = pole.half_size[..., 0] * (2 + 2 * torch.rand(pole.half_size.shape[:2], generator=generator))
    centre = torch.stack([pole.centre[..., 0], counter.centre[..., 1]], -1)
    return Billboards(centre, torch.stack([width, counter.half_size[..., 1]], -1), counter.depth_m)


def _board(joints_m: torch.Tensor, fps: float, generator: Generator) -> Billboards:
    """A board or a car that moves past, as tall as a part of the person."""
    passers = FLAT["passers-by"](joints_m, fps, generator)
    size = passers.half_size * (0.6 + 0.8 * torch.rand(*passers.half_size.shape, generator=generator))
    size[..., 1] *= 0.6
    shift = torch.stack([torch.zeros(size.shape[:2]), 0.5 * size[..., 1]], -1)
    return Billboards(passers.centre + shift[:, None], size, passers.depth_m)


OBJECTS: dict[str, Callable[[torch.Tensor, float, Generator], Billboards] | None] = {
    "in the open": None,
    **FLAT,
    "fence": _bars,
    "box": _box,
    "board": _board,
}
"""What stands between: the four kinds of the occlusion benchmark, and three more. Passers-by are bodies."""


def add_object(canvas: Canvas, boards: Billboards, frame: int, texture: np.ndarray, tint: np.ndarray) -> None:
    x, y = canvas.lens.rays[..., 0], canvas.lens.rays[..., 1]
    for number in range(boards.centre.shape[2]):
        (left, top), (half_width, half_height) = (
            boards.centre[0, frame, number].tolist(),
            boards.half_size[0, number].tolist(),
        )
        inside = (np.abs(x - left) < half_width) & (np.abs(y - top) < half_height)
        if inside.any():
            canvas.draw_flat(inside, float(boards.depth_m[0, number]), texture * tint)


def walkers(boards: Billboards, up: np.ndarray, fps: float, rng: np.random.Generator) -> list[Actor]:
    """Somebody who walks in the place of each of the passing rectangles."""
    frames, count = boards.centre.shape[1:3]
    gaits = make_motion(
        ProceduralConfig(count, frames / fps + 0.1, fps, p_gait=1.0, p_floor=0, p_posture=0, p_load=0),
        int(rng.integers(2**31)),
    )
    right = unit(np.cross(up, np.array([0.0, 0.0, 1.0])))
    actors = []
    for number, gait in enumerate(gaits):
        gait = gait[:frames].astype(np.float64)
        ahead = axes(
            gait[:, H36M_17.index("left_hip")] - gait[:, H36M_17.index("right_hip")],
            np.broadcast_to([0.0, 0.0, 1.0], (frames, 3)),
        )[..., 0]
        place = np.concatenate([boards.centre[0, :, number].numpy(), np.ones((frames, 1))], axis=-1) * float(
            boards.depth_m[0, number]
        )
        way = float(np.sign(place[-1, 0] - place[0, 0]) or 1.0) * right
        # World to camera: forward to the way, up to up.
        side = np.cross(up, way)
        bases = np.stack([way, side, up], axis=-1)
        own = np.stack(
            [ahead, np.cross([0.0, 0.0, 1.0], ahead), np.broadcast_to([0, 0, 1.0], ahead.shape)], -2
        )
        middle = (gait.min(axis=1) + gait.max(axis=1))[:, None] / 2
        joints = (gait - middle) @ (bases @ own).transpose(0, 2, 1) + place[:, None]
        height = float(np.median(np.ptp(gait[..., 2], axis=1)))
        actors.append(Actor.of(joints, height + 0.1, rng))
    return actors


@dataclass(frozen=True)
class Scene:
    """Everything that is rendered in one clip."""

    lens: Lens
    place: Place
    person: Actor
    sun: np.ndarray
    boards: Billboards | None
    others: list[Actor]
    texture: np.ndarray
    tint: np.ndarray

    def render(self, frame: int) -> tuple[Canvas, np.ndarray]:
        """The picture, and which joints of the person an object covers."""
        feet = self.person.joints_m[frame, H36M_17.indices("left_ankle", "right_ankle")]
        canvas = Canvas(self.lens, self.place.shadowed(feet))
        canvas.draw_body(self.person.body(frame), self.person.look.colours, self.sun, PERSON)
        for other in self.others:
            canvas.draw_body(other.body(frame), other.look.colours, self.sun, OBJECT)
        if self.boards is not None and not self.others:
            add_object(canvas, self.boards, frame, self.texture, self.tint)
        joints = self.person.joints_m[frame]
        at = np.clip(np.round(self.lens.project(joints)), 0, self.lens.side_px - 1).astype(int)
        column, row = at.T
        return canvas, (canvas.owner[row, column] == OBJECT) & (canvas.depth_m[row, column] < joints[:, 2])


def draw_scene(
    joints_m: np.ndarray, up: np.ndarray, height_m: float, lens: Lens, kind: str, fps: float, seed: int
) -> Scene:
    """A scene around a person in the camera frame; the same for the same seed."""
    rng, generator = np.random.default_rng(seed), Generator().manual_seed(seed)
    make = OBJECTS[kind]
    boards = make(torch.from_numpy(joints_m)[None].float(), fps, generator) if make else None
    ankles = joints_m[:, H36M_17.indices("left_ankle", "right_ankle")].reshape(-1, 3)
    feet = ankles[(ankles @ up).argmin()] - 0.08 * up
    texture = partial(_waves, 9 * lens.rays[..., 0].astype(float), 9 * lens.rays[..., 1].astype(float))
    return Scene(
        lens=lens,
        place=draw_place(lens, up, feet, float(joints_m[..., 2].max()), rng),
        person=Actor.of(joints_m, height_m, rng),
        sun=draw_sun(up, rng),
        boards=boards,
        others=walkers(boards, up, fps, rng) if boards is not None and kind == "passers-by" else [],
        texture=(0.85 + 0.15 * texture(rng))[..., None],
        tint=rng.uniform(0.1, 0.85, 3),
    )
