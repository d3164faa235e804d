"""The people that networks are tested with."""

import numpy as np
import pytest
import torch
from people import observe
from torch import Tensor

from repose.synthetic.procedural import ProceduralConfig, make_motion


@pytest.fixture(scope="module")
def bodies() -> Tensor:
    """Three people, 12 frames, in camera axes about 4 m away, off the middle of the picture."""
    clips = torch.from_numpy(np.stack(list(make_motion(ProceduralConfig(clips=3, seconds=0.2), seed=6))))
    x, y, z = (clips.double() - clips.double().mean((1, 2), keepdim=True)).unbind(-1)
    return torch.stack([-y, -z, x], dim=-1) + torch.tensor([0.5, -0.3, 4.0])


@pytest.fixture
def keypoints(bodies: Tensor) -> Tensor:
    return observe(bodies)
