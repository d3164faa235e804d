"""Presets are runs that can be started."""

from pathlib import Path

import pytest
import torch

from repose.losses import total_loss
from repose.models import build, find_spec
from repose.presets import PRESETS
from repose.train import TrainConfig


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_trains_a_model_of_camera_rays(name: str) -> None:
    preset = PRESETS[name]
    assert isinstance(preset, TrainConfig)
    spec = find_spec(preset.model)
    assert spec.normalisation == "rays"
    assert spec.frame_rate_hz == preset.data.frame_rate_hz
    assert preset.warmup_steps < preset.steps
    assert preset.save_every <= preset.steps


@pytest.mark.parametrize("name", PRESETS)
def test_presets_train_with_the_relational_losses(name: str) -> None:
    weights = PRESETS[name].losses
    joints = torch.randn(2, 4, 17, 3)
    _, parts = total_loss(joints, joints.flip(1), weights)
    assert {"position", "spatial_rank", "temporal_rank"} <= parts.keys()


def test_the_default_needs_motion_capture_and_the_tiny_one_nothing() -> None:
    assert PRESETS["default"].data.mocap == Path("mocap")
    assert PRESETS["tiny"].data.mocap is None
    assert PRESETS["tiny"].steps <= 200


def test_the_default_model_is_small() -> None:
    values = sum(parameter.numel() for parameter in build(PRESETS["default"].model).parameters())
    assert values * 2 < 16 * 2**20  # in float16, as package data
