"""Where a scene is looked at from."""

import numpy as np
from jaxtyping import Float

from repose.camera import Camera
from repose.view.scene import Scene

FOV_DEG = 30.0
"""Height of the view. Narrow, so that a near hand does not look larger than a head."""
AZIMUTH_DEG = 35.0
"""How far to the right of the camera that filmed: so the depths are seen, which its picture does not show."""
ELEVATION_DEG = 14.0


def direction(scene: Scene) -> Float[np.ndarray, "3"]:
    """From what is looked at to whoever looks."""
    azimuth, elevation = scene.facing_rad + np.radians(AZIMUTH_DEG), np.radians(ELEVATION_DEG)
    flat = np.cos(elevation)
    return np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)])


def distance_m(radius_m: float, aspect: float = 1.0) -> float:
    """At which a ball fills a view that is `aspect` times as wide as high."""
    half = np.radians(FOV_DEG) / 2
    return float(radius_m / np.sin(min(half, np.arctan(np.tan(half) * aspect))))


def view_camera(
    scene: Scene, size: tuple[int, int], centre_m: Float[np.ndarray, "3"], radius_m: float
) -> Camera:
    """The camera of a view of (width, height) pixels that a ball of `radius_m` fills."""
    width, height = size
    away = direction(scene)
    eye = centre_m + away * distance_m(radius_m, width / height)
    right = np.cross(-away, (0.0, 0.0, 1.0))
    right /= np.linalg.norm(right)
    T_cam_world = np.eye(4)
    T_cam_world[:3, :3] = [right, np.cross(-away, right), -away]
    T_cam_world[:3, 3] = -T_cam_world[:3, :3] @ eye
    focal_px = height / 2 / np.tan(np.radians(FOV_DEG) / 2)
    K = np.array([[focal_px, 0, width / 2], [0, focal_px, height / 2], [0, 0, 1]])
    return Camera(K, T_cam_world=T_cam_world)
