"""Student's t for residuals with outliers."""

import numpy as np
from jaxtyping import Float

FREEDOM = 2.0
"""Degrees of freedom."""


def student_weight(squared: Float[np.ndarray, "*shape"], scale: float) -> Float[np.ndarray, "*shape"]:
    """What a residual, squared and in its standard deviations, counts for; 1 where it is small.

    Iterated reweighting with it minimises `student_cost`, the negative logarithm of Student's t
    distribution with `FREEDOM` degrees of freedom, up to a factor.
    """
    return 1 / (1 + squared / (FREEDOM * scale**2))


def student_cost(squared: Float[np.ndarray, "*shape"], scale: float) -> Float[np.ndarray, "*shape"]:
    """Half the squared residual where it is small, its logarithm where it is large."""
    return 0.5 * FREEDOM * scale**2 * np.log1p(squared / (FREEDOM * scale**2))
