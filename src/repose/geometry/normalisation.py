"""Units in which networks take 2D points."""

import numpy as np
from jaxtyping import Float

from repose.errors import UserError
from repose.geometry.camera import to_screen


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
