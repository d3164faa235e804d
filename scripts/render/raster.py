"""A picture with depth, into which bodies and flat things are drawn: fast enough for thousands of frames."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from figure import Body, colour_of

PERSON, OBJECT = 1, 2
"""What a pixel shows; 0 is the background."""


@dataclass(frozen=True)
class Lens:
    """A square picture with its axis in the middle. Camera frame: x right, y down, z forward, metres."""

    side_px: int
    focal_px: float

    @property
    def centre_px(self) -> float:
        return (self.side_px - 1) / 2

    def project(self, points_m: np.ndarray) -> np.ndarray:
        return points_m[..., :2] / points_m[..., 2:] * self.focal_px + self.centre_px

    @cached_property
    def rays(self) -> np.ndarray:
        """(side, side, 3), z = 1."""
        v, u = np.mgrid[0 : self.side_px, 0 : self.side_px].astype(np.float32)
        return np.stack([*((axis - self.centre_px) / self.focal_px for axis in (u, v)), np.ones_like(u)], -1)

    @cached_property
    def directions(self) -> np.ndarray:
        return self.rays / np.linalg.norm(self.rays, axis=-1, keepdims=True)


class Canvas:
    """What has been drawn so far: linear RGB, depth in metres, and whose each pixel is."""

    def __init__(self, lens: Lens, background: np.ndarray) -> None:
        self.lens = lens
        self.rgb = background.astype(np.float32).copy()
        self.depth_m = np.full(background.shape[:2], np.inf, np.float32)
        self.owner = np.zeros(background.shape[:2], np.int8)

    def draw_flat(self, inside: np.ndarray, depth_m: float, rgb: np.ndarray) -> None:
        """Draw what faces the camera: a mask and its colours, both of the whole picture."""
        shown = inside & (depth_m < self.depth_m)
        self.rgb[shown] = rgb[shown]
        self.depth_m[shown] = depth_m
        self.owner[shown] = OBJECT

    def draw_body(self, body: Body, palette: np.ndarray, sun: np.ndarray, owner: int) -> None:
        """Draw a body in the camera frame, lit by `sun` (the direction towards it)."""
        shape = self.depth_m.shape
        nearest = np.full(shape, np.inf, np.float32)
        material = np.full(shape, -1, np.int8)
        normal = np.zeros((*shape, 3), np.float32)
        rows = zip(
            body.start_m, body.stop_m, body.start_radius_m, body.stop_radius_m, body.material, strict=True
        )
        for start, stop, start_radius, stop_radius, kind in rows:
            window = self._window(start, stop, max(start_radius, stop_radius))
            if window is None:
                continue
            size = nearest[window].shape
            along, normals = hit_cone(
                self.lens.directions[window].reshape(-1, 3), start, stop, start_radius, stop_radius
            )
            along = along.reshape(size)
            nearer = along < nearest[window]
            nearest[window][nearer] = along[nearer]
            material[window][nearer] = kind
            normal[window][nearer] = normals.reshape(*size, 3)[nearer]
        depth = nearest * self.lens.directions[..., 2]
        shown = depth < self.depth_m
        sight = self.lens.directions[shown]
        colours = colour_of(body, sight * nearest[shown][:, None], material[shown].astype(int), palette)
        facing = np.clip(-(normal[shown] * sight).sum(-1), 0, 1)
        lit = np.clip(normal[shown] @ sun, 0, 1)
        sky = -normal[shown][:, 1]
        self.rgb[shown] = colours * (0.42 + 0.12 * facing + 0.12 * sky + 0.55 * lit)[:, None]
        self.depth_m[shown] = depth[shown]
        self.owner[shown] = owner

    def _window(self, start: np.ndarray, stop: np.ndarray, radius: float) -> tuple[slice, slice] | None:
        """Rows and columns in which a capsule can be; None where it is not in the picture."""
        ends = np.stack([start, stop])
        if (ends[:, 2] < radius + 0.1).any():
            return None
        reach = 1.3 * radius / ends[:, 2:] * self.lens.focal_px + 2
        places = self.lens.project(ends)
        low = np.clip(np.floor((places - reach).min(0)), 0, self.lens.side_px).astype(int)
        high = np.clip(np.ceil((places + reach).max(0)), 0, self.lens.side_px).astype(int)
        return None if (high <= low).any() else (slice(low[1], high[1]), slice(low[0], high[0]))

    def bytes(self) -> np.ndarray:
        return (255 * np.clip(self.rgb, 0, 1) ** (1 / 1.35) + 0.5).astype(np.uint8)


def hit_cone(
    sight: np.ndarray, start: np.ndarray, stop: np.ndarray, start_radius: float, stop_radius: float
) -> tuple[np.ndarray, np.ndarray]:
    """Where rays from the origin enter a capsule whose radius changes along its axis, and its normals there.

    `sight`: unit vectors (rays, 3). The distance along each ray is infinite for those that miss. Two spheres
    and the cone that touches both: its points satisfy |p - start - s·axis| = start_radius - s·taper with s
    from the tangent circle of one sphere to that of the other, which is a quadratic equation in the distance.
    """
    sight = np.asarray(sight, np.float64)
    distance = np.full(len(sight), np.inf)
    normal = np.zeros((len(sight), 3))

    def keep(where: np.ndarray, found: np.ndarray, normals: np.ndarray) -> None:
        closer = where & (found > 0) & (found < distance)
        distance[closer] = found[closer]
        normal[closer] = normals[closer]

    for centre, radius in ((start, start_radius), (stop, stop_radius)):
        along = sight @ centre
        square = along**2 - centre @ centre + radius**2
        found = along - np.sqrt(np.maximum(square, 0))
        keep(square > 0, found, (found[:, None] * sight - centre) / radius)
    bone = stop - start
    length = np.linalg.norm(bone)
    if length > 1e-6:
        axis, taper = bone / length, (start_radius - stop_radius) / length
        # With p = t·sight: height h = p·axis - start·axis along the axis, gap g² = |p - start|² - h²; on the
        # surface g = (start_radius - taper·h') / cos, where the normal leans by sin = taper.
        if abs(taper) < 1:
            lean = np.sqrt(1 - taper**2)
            slope, level = taper / lean, start_radius / lean
            up, zero = sight @ axis, -start @ axis
            # g² = (level - slope·h)²
            a = 1 - up**2 - (slope * up) ** 2
            b = -(sight @ start) - up * zero + slope * up * (level - slope * zero)
            c = start @ start - zero**2 - (level - slope * zero) ** 2
            square = b**2 - a * c
            a = np.where(np.abs(a) < 1e-12, 1e-12, a)
            found = (-b - np.sqrt(np.maximum(square, 0))) / a
            height = found * up + zero
            # Tangent circles lie towards the thinner end by radius × taper.
            inside = (height > start_radius * taper) & (height < length + stop_radius * taper)
            radial = found[:, None] * sight - start - height[:, None] * axis
            radial /= np.maximum(np.linalg.norm(radial, axis=-1, keepdims=True), 1e-9)
            keep((square > 0) & inside, found, lean * radial + taper * axis)
    return distance.astype(np.float32), normal.astype(np.float32)
