"""The viewpoints from which a scene is shown."""

import numpy as np
from jaxtyping import Float

from repose.geometry.camera import Camera
from repose.geometry.rigid import RigidTransform
from repose.geometry.rotation import unit
from repose.viewer.scene import Scene

FOV_DEG = 30.0
"""Height of the view. Narrow, so that a near hand does not look larger than a head."""

# Degrees to the right of the way from the people to the camera that filmed, and above the horizon.
VIEWS_DEG = {
    "angle": (35.0, 14.0),  # so the depths are seen, which the picture does not show
    "front": (0.0, 3.0),
    "side": (90.0, 3.0),
    "top": (0.0, 86.0),
    "camera": (52.0, 20.0),  # the people and the camera that filmed
}


def direction(scene: Scene, name: str = "angle") -> Float[np.ndarray, "3"]:
    """Return the direction from the target to the viewpoint, for a view in `VIEWS_DEG`."""
    right, above = np.radians(VIEWS_DEG[name])
    azimuth, flat = scene.facing_rad + right, np.cos(above)
    return np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(above)])


def distance_m(radius_m: float, aspect: float = 1.0) -> float:
    """Return the distance at which a ball fills a view that is `aspect` times as wide as high."""
    half = np.radians(FOV_DEG) / 2
    return float(radius_m / np.sin(min(half, np.arctan(np.tan(half) * aspect))))


def place_viewpoint(
    scene: Scene, name: str, frame: int, aspect: float = 1.0
) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
    """Return where to stand and what to look at, in a frame, for a view `aspect` times as wide as high."""
    target, distance = scene.centre_m[frame], 1.1 * distance_m(scene.radius_m, aspect)
    if name == "camera" and scene.camera is not None:
        way = scene.camera.position_m - target
        distance += 1.5 * float(np.linalg.norm(way)) / min(1.0, aspect)
        target = target + 0.45 * way
    return target + direction(scene, name) * distance, target


def view_camera(
    scene: Scene, size: tuple[int, int], centre_m: Float[np.ndarray, "3"], radius_m: float
) -> Camera:
    """Create the camera of a view of (width, height) pixels that a ball of `radius_m` fills."""
    width, height = size
    away = direction(scene)
    eye = centre_m + away * distance_m(radius_m, width / height)
    right = unit(np.cross(-away, (0.0, 0.0, 1.0)))
    T_world_cam = RigidTransform(np.stack([right, np.cross(-away, right), -away], axis=1), eye)
    focal_px = height / 2 / np.tan(np.radians(FOV_DEG) / 2)
    K = np.array([[focal_px, 0, width / 2], [0, focal_px, height / 2], [0, 0, 1]])
    return Camera(K, T_cam_world=T_world_cam.inverse())
