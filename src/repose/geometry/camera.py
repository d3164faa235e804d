"""The pinhole camera: projection, rays, assumed intrinsics, where the root must be, units of 2D points.

Camera frame, OpenCV axes: x right, y down, z forward. World: right-handed, z up. `T_cam_world` takes
world points to the camera.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from repose.errors import UserError, expected
from repose.geometry.rigid import RigidTransform

FIELDS_OF_VIEW_DEG = (1.0, 170.0)
"""Across the picture's diagonal, narrowest and widest."""
ASSUMED_FOV_DEG = 65.0
"""Diagonal field of view of a camera that nothing is known of: a telephone's main camera when it films."""
FILM_WIDTH_MM = 34.6
"""Of a picture of 4:3 on 35 mm film: its diagonal is that of the film, which equivalent focal lengths have in
common. Videos are as wide as the photographs of their camera, and cropped above and below."""
_NEAREST_M = 1e-3
_PASSES = 20
"""Steps of Newton's method that undo a distortion: few suffice, where it can be undone."""


@dataclass(frozen=True, eq=False)
class Camera:
    """Intrinsics in pixels, OpenCV distortion, and the pose of the camera in the world."""

    K: Float[np.ndarray, "3 3"]
    distortion: Float[np.ndarray, " _"] = field(default_factory=lambda: np.zeros(5))
    """k1, k2 (radial), p1, p2 (tangential), and perhaps k3 (radial)."""
    T_cam_world: RigidTransform = field(default_factory=RigidTransform)

    @classmethod
    def assumed(cls, image_size: tuple[int, int], fov_deg: float = ASSUMED_FOV_DEG) -> "Camera":
        """Create a camera with the given diagonal field of view and a centred principal point.

        Raises UserError for a field of view outside `FIELDS_OF_VIEW_DEG`.
        """
        narrowest, widest = FIELDS_OF_VIEW_DEG
        if not narrowest <= fov_deg <= widest:
            wanted = f"{narrowest:g} to {widest:g} degrees across the picture's diagonal"
            expected("field of view", wanted, fov_deg)
        width, height = image_size
        focal_px = np.hypot(width, height) / 2 / np.tan(np.radians(fov_deg) / 2)
        return cls(np.array([[focal_px, 0, width / 2], [0, focal_px, height / 2], [0, 0, 1]]))

    @classmethod
    def from_focal_length(cls, image_size: tuple[int, int], focal_length_mm: float) -> "Camera":
        """Create a camera from the equivalent on 35 mm film of its focal length, with a centred axis."""
        width, height = image_size
        focal_px = max(width, height) * focal_length_mm / FILM_WIDTH_MM
        return cls.from_intrinsics((focal_px, focal_px, width / 2, height / 2))

    @classmethod
    def from_intrinsics(
        cls, intrinsics_px: tuple[float, float, float, float], distortion: Sequence[float] | None = None
    ) -> "Camera":
        """Create a camera from (fx, fy, cx, cy) and (k1, k2, p1, p2, k3).

        Raises UserError for impossible ones.
        """
        numbers = np.asarray(intrinsics_px, dtype=np.float64)
        if numbers.shape != (4,) or not np.isfinite(numbers).all() or not (numbers[:2] > 0).all():
            expected("intrinsics", "fx, fy, cx, cy in pixels with positive fx and fy", intrinsics_px)
        fx, fy, cx, cy = numbers
        K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], dtype=np.float64)
        coefficients = np.zeros(5) if distortion is None else np.array(distortion, dtype=np.float64)
        if coefficients.shape not in ((4,), (5,)) or not np.isfinite(coefficients).all():
            expected("distortion", "k1 k2 p1 p2 k3, as OpenCV has them", distortion)
        return cls(K, coefficients)

    def zoomed(self, factor: float) -> "Camera":
        """Return the camera with a focal length that is longer by `factor`."""
        return replace(self, K=self.K * [[factor, factor, 1.0], [factor, factor, 1.0], [1.0, 1.0, 1.0]])

    @property
    def intrinsics_px(self) -> tuple[float, float, float, float]:
        """fx, fy, cx, cy."""
        return float(self.K[0, 0]), float(self.K[1, 1]), float(self.K[0, 2]), float(self.K[1, 2])

    def fov_deg(self, image_size: tuple[int, int]) -> float:
        """Return the field of view across the diagonal of a picture, without distortion."""
        half = np.hypot(image_size[0] / self.K[0, 0], image_size[1] / self.K[1, 1]) / 2
        return float(2 * np.degrees(np.arctan(half)))

    def check_distortion(self, image_size: tuple[int, int]) -> None:
        """Raise UserError for a distortion that shows two directions in one place of the picture."""
        sides = [np.linspace(0, side, 17) for side in image_size]
        _, sound = self._undistort(np.stack(np.meshgrid(*sides), axis=-1))
        if not sound.all():
            found = ", ".join(f"{value:g}" for value in self.distortion)
            wanted = "one that shows each direction in one place of the picture"
            expected("distortion", wanted, found, "It is damaged, or of another lens or size of picture.")

    @property
    def position_m(self) -> Float[np.ndarray, "3"]:
        """Where the camera stands in the world."""
        return self.T_cam_world.inverse().t_m

    def project(self, points_world_m: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 2"]:
        """Project world points to pixels; meaningless for points behind the camera."""
        return self.project_with_depth(points_world_m)[0]

    def project_with_depth(
        self, points_world_m: Float[np.ndarray, "*batch 3"]
    ) -> tuple[Float[np.ndarray, "*batch 2"], Float[np.ndarray, "*batch"]]:
        """Project world points to pixels, with their depths along the camera's axis in metres.

        Points behind the camera count as 1 mm in front of it, and so land far outside the picture.
        """
        points = self.T_cam_world.apply(points_world_m)
        depths_m = np.asarray(np.maximum(points[..., 2], _NEAREST_M))
        rays = self._distort(points[..., :2] / depths_m[..., None])
        return rays @ self.K[:2, :2].T + self.K[:2, 2], depths_m

    def rays(self, points_px: Float[np.ndarray, "*batch 2"]) -> Float[np.ndarray, "*batch 2"]:
        """Return x/z and y/z in the camera frame of the rays through `points_px`."""
        return self._undistort(points_px)[0]

    def undistort(self, points_px: Float[np.ndarray, "*batch 2"]) -> Float[np.ndarray, "*batch 2"]:
        """Return where a lens of the same `K` without distortion would show what is seen at `points_px`."""
        return self.rays(points_px) @ self.K[:2, :2].T + self.K[:2, 2] if self.distortion.any() else points_px

    def _undistort(self, points_px: np.ndarray) -> tuple[np.ndarray, Any]:
        """Rays, and which of them are distorted to these points; the others are as without distortion."""
        seen = (points_px - self.K[:2, 2]) @ np.linalg.inv(self.K[:2, :2]).T
        rays, sound = seen, np.ones(seen.shape[:-1], dtype=bool)
        if not self.distortion.any():
            return rays, sound
        with np.errstate(all="ignore"):  # what is too far outside the picture is sorted out at the end
            for _ in range(_PASSES):  # the distortion has no closed inverse: Newton's method
                distorted, (along_x, across, along_y) = self._distort_with_slopes(rays)
                off_x, off_y = np.moveaxis(distorted - seen, -1, 0)
                determinant = along_x * along_y - across**2
                step = np.stack([along_y * off_x - across * off_y, along_x * off_y - across * off_x], axis=-1)
                rays = rays - step / determinant[..., None]
            distorted, (along_x, across, along_y) = self._distort_with_slopes(rays)
            sound = (along_x * along_y > across**2) & (along_x > 0)
            sound &= (np.abs(distorted - seen) < 1e-9 * (1 + np.abs(seen))).all(axis=-1)
        return np.where(sound[..., None], rays, seen), sound

    def _distort(self, rays: np.ndarray) -> np.ndarray:
        return self._distort_with_slopes(rays)[0] if self.distortion.any() else rays

    def _distort_with_slopes(self, rays: np.ndarray) -> tuple[np.ndarray, tuple[Any, Any, Any]]:
        """Distorted rays; and ∂x'/∂x, ∂x'/∂y (which is ∂y'/∂x) and ∂y'/∂y."""
        k1, k2, p1, p2, k3 = (*self.distortion, 0.0)[:5]
        x, y = rays[..., 0], rays[..., 1]
        r2 = x * x + y * y
        radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
        slope = 2 * (k1 + r2 * (2 * k2 + r2 * 3 * k3))
        distorted = np.stack(
            [
                x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
                y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
            ],
            axis=-1,
        )
        along_x = radial + slope * x * x + 2 * p1 * y + 6 * p2 * x
        along_y = radial + slope * y * y + 6 * p1 * y + 2 * p2 * x
        return distorted, (along_x, slope * x * y + 2 * p1 * x + 2 * p2 * y, along_y)


def to_screen(
    points_px: Float[np.ndarray, "*batch 2"], image_size: tuple[int, int]
) -> Float[np.ndarray, "*batch 2"]:
    """Normalise pixels by the picture: its width spans -1 to 1, its height is in the same unit around 0."""
    # One axis at a time: NumPy is slow where the last one is short.
    axes = [(points_px[..., i] * 2 - side) / image_size[0] for i, side in enumerate(image_size)]
    return np.stack(axes, axis=-1)


def from_screen(
    points_norm: Float[np.ndarray, "*batch 2"], image_size: tuple[int, int]
) -> Float[np.ndarray, "*batch 2"]:
    """Invert `to_screen`."""
    return (points_norm * image_size[0] + np.array(image_size)) / 2


def solve_root(
    joints_m: Float[np.ndarray, "frames joints 3"],
    rays: Float[np.ndarray, "frames joints 2"],
    weights: Float[np.ndarray, "frames joints"],
) -> tuple[Float[np.ndarray, "frames 3"], Bool[np.ndarray, " frames"]]:
    """Find where the root must be so that root-relative joints lie on their rays.

    For a root at t, joint (X, Y, Z) is seen at x = (X + tx) / (Z + tz), hence tx − x tz = x Z − X, and
    the same for y: linear in t, solved per frame by weighted least squares over all joints.

    `joints_m`: root-relative, camera axes, true size. `rays`: x/z, y/z. `weights`: 0 leaves a joint out.
    Returns the root in the camera frame in metres, and in which frames it is determined: at least two
    joints at different places, and the person in front of the camera. Elsewhere it is 0.
    """
    x, y = rays[..., 0], rays[..., 1]
    w = weights
    zero, one = np.zeros_like(x), np.ones_like(x)

    def total(values: np.ndarray) -> np.ndarray:
        return (w * values).sum(axis=1)

    rows = [[one, zero, -x], [zero, one, -y], [-x, -y, x * x + y * y]]
    normal = np.stack([np.stack([total(entry) for entry in row], axis=-1) for row in rows], axis=-2)
    u = x * joints_m[..., 2] - joints_m[..., 0]
    v = y * joints_m[..., 2] - joints_m[..., 1]
    right = np.stack([total(u), total(v), total(-x * u - y * v)], axis=-1)
    # The determinant is Σw times the weighted spread of the rays: 0 when all joints lie on one ray.
    solvable = np.linalg.det(normal) > 1e-12 * np.maximum(w.sum(axis=1), 1e-9) ** 3
    safe = np.where(solvable[:, None, None], normal, np.eye(3))
    root = np.linalg.solve(safe, right[..., None])[..., 0]
    found = solvable & (root[:, 2] > 0.1) & ((w > 0).sum(axis=1) >= 2)
    return np.where(found[:, None], root, 0.0), found


def normalise(
    points_px: Float[np.ndarray, "frames joints 2"],
    confidence: Float[np.ndarray, "frames joints"],
    image_size: tuple[int, int],
    normalisation: str,
    rays: Float[np.ndarray, "frames joints 2"],
) -> Float[np.ndarray, "frames joints 2"]:
    """Return 2D points in the unit of a model's input (`repose.models.ModelSpec.normalisation`).

    `rays`: x/z, y/z of the camera, as given. `screen`: x from -1 to 1 over the width, y in the same unit
    (Human3.6M protocol). `pixel-scaled`: the shorter side spans -1 to 1 about the middle. `crop-scaled`: the
    larger side of the box around all points seen spans -1 to 1, and points beyond are cut (both MotionBERT).

    Raises:
        UserError: an unknown normalisation.
    """
    width, height = image_size
    match normalisation:
        case "rays":
            return rays
        case "screen":
            return to_screen(points_px, image_size)
        case "pixel-scaled":
            return (points_px * 2 - (width, height)) / min(width, height)
        case "crop-scaled":
            seen = points_px[confidence > 0]
            low, high = seen.min(axis=0), seen.max(axis=0)
            side = max(float((high - low).max()), 1e-6)
            return np.clip((points_px - (low + high) / 2) / side * 2, -1, 1)
    raise UserError(
        f"normalisation {normalisation!r}: expected rays, screen, pixel-scaled or crop-scaled",
        "The model's description names one that this version of repose does not know.",
    )
