"""Presets are runs that can be started."""

from pathlib import Path

import pytest
import torch

from repose.datasets.clips import StoreConfig
from repose.losses import LossWeights, total_loss
from repose.models import build, find_spec
from repose.synthetic.motions import SyntheticConfig
from repose.training.loop import make_model
from repose.training.presets import PRESETS, RANK_WEIGHTS
from repose.training.train_config import TrainConfig

MOTION = ("default", "tiny")
"""Presets that train on motion seen by virtual cameras; all others are for stores."""
STORES = [name for name in PRESETS if name not in MOTION]


@pytest.mark.parametrize("name", MOTION)
def test_a_preset_for_motion_trains_a_model_of_camera_rays(name: str) -> None:
    preset = PRESETS[name]
    assert isinstance(preset, TrainConfig)
    assert isinstance(preset.data, SyntheticConfig)
    spec = find_spec(preset.model)
    assert spec.normalisation == "rays"
    assert spec.frame_rate_hz == preset.data.frame_rate_hz
    assert preset.warmup_steps < preset.steps
    assert preset.save_every <= preset.steps


@pytest.mark.parametrize("name", [*MOTION, "repose-human36m"])
def test_presets_train_with_the_relational_losses(name: str) -> None:
    weights = PRESETS[name].losses
    output, target = torch.randn(2, 4, 17, 4 if weights.deviation else 3), torch.randn(2, 4, 17, 3)
    _, parts = total_loss(output, target, weights)
    assert {"position", "spatial_rank", "temporal_rank"} <= parts.keys()


@pytest.mark.parametrize("name", STORES)
def test_a_preset_for_a_store_is_the_published_configuration(name: str) -> None:
    preset = PRESETS[name]
    mpi, agformer, pretrain = "mpi-inf-3dhp" in name, "agformer" in name, "pretrain" in name
    assert isinstance(preset.data, StoreConfig)
    assert preset.data.flip
    assert (preset.schedule, preset.epoch_decay, preset.weight_decay) == ("exponential", 0.99, 0.01)
    assert (preset.clip_norm, preset.beta2, preset.decay_vectors) == (None, 0.999, True)
    assert preset.optimizer == ("adam-amsgrad" if mpi else "adamw")
    tcpformer = {"tcpformer-human36m": 4, "tcpformer-81-human36m": 8, "tcpformer-81-mpi-inf-3dhp": 8}
    tcpformer["tcpformer-9-mpi-inf-3dhp"] = 32
    others = 16 if agformer or "tcpformer" in name else 64 if pretrain else 32
    assert preset.batch == tcpformer.get(name, others)
    long = mpi or pretrain or "tcpformer" in name
    assert preset.epochs == (90 if long else 120 if name == "motionbert-human36m" else 60)
    finetuned = {"motionbert-finetune-human36m": "MB_release", "motionbert-lite-finetune-human36m": "MB_lite"}
    wanted = Path(finetuned[name]) / "latest_epoch.bin" if name in finetuned else None
    assert preset.initial == wanted
    assert preset.seed == 0
    slow = name in ("motionbert-human36m", "motionbert-finetune-human36m")
    assert preset.learning_rate == (2e-4 if slow else 5e-4)
    ranks = RANK_WEIGHTS if name == "repose-human36m" else {}
    assert preset.losses == LossWeights(position=1.0, scale=0.5, velocity=20.0, **ranks)


def test_windows_are_the_published_ones() -> None:
    def window(name: str) -> tuple[int, int, str, str]:
        preset = PRESETS[name]
        assert isinstance(preset.data, StoreConfig)
        with torch.device("meta"):
            spec = make_model(preset).spec
        stride = preset.data.stride or spec.window_frames // 3
        return spec.window_frames, stride, preset.data.tail, spec.skeleton

    assert window("repose-human36m") == (243, 81, "drop", "h36m-17")
    assert window("motionagformer-xs-human36m") == (27, 9, "drop", "h36m-17")
    assert window("motionagformer-s-human36m") == (81, 27, "drop", "h36m-17")
    assert window("tcpformer-human36m") == (243, 81, "drop", "h36m-17")
    assert window("tcpformer-9-mpi-inf-3dhp") == (9, 9, "keep", "mpi-17")
    assert window("motionagformer-xs-human36m-cpn") == (27, 9, "drop", "h36m-17")
    assert window("motionagformer-s-human36m-cpn") == (81, 27, "drop", "h36m-17")
    for name in ("motionagformer-b-human36m-cpn", "motionbert-lite-human36m-cpn"):
        assert window(name) == (243, 81, "drop", "h36m-17")
        assert PRESETS[name].data.no_conf
    assert window("motionagformer-xs-mpi-inf-3dhp") == (27, 9, "keep", "mpi-17")
    assert window("motionagformer-l-mpi-inf-3dhp") == (81, 9, "keep", "mpi-17")


def test_pretraining_is_motionbert_s() -> None:
    for name in ("motionbert-pretrain", "motionbert-lite-pretrain"):
        data = PRESETS[name].data
        assert isinstance(data, StoreConfig)
        assert (data.projected, data.noise, data.mask_joints, data.mask_frames) == (True, True, 0.05, 0.1)
        assert (data.first_epoch_2d, data.crop_2d) == (30, (0.25, 1.0))
        assert PRESETS[name].root_relative


def test_the_default_needs_motion_capture_and_the_tiny_one_nothing() -> None:
    assert PRESETS["default"].data.mocap == Path("mocap")
    assert PRESETS["tiny"].data.mocap is None
    assert PRESETS["tiny"].steps <= 200


def test_the_default_model_is_small() -> None:
    values = sum(parameter.numel() for parameter in build(PRESETS["default"].model).parameters())
    assert values * 2 < 16 * 2**20  # in float16, as package data
