"""Named training configurations: plain values, to be read and changed."""

from dataclasses import replace
from pathlib import Path

from repose.datasets.clips import StoreConfig
from repose.losses import LossWeights
from repose.synthetic.motions import SyntheticConfig
from repose.synthetic.procedural import ProceduralConfig
from repose.training.train_config import TrainConfig

RANK_WEIGHTS = {"spatial_rank": 0.2, "temporal_rank": 0.05}
"""Weights of RePOSE's relational losses. The published ones are not known; these are those of the experiment
in docs/experiment.md."""

# MotionBERT's programs and configurations, which RePOSE and MotionAGFormer follow: AdamW as PyTorch has it,
# everything decays, no warm-up and no clipping, the rate falls by a hundredth after each epoch.
_PUBLISHED = TrainConfig(
    data=StoreConfig(),
    losses=LossWeights(position=1.0, scale=0.5, velocity=20.0),
    batch=32,
    beta2=0.999,
    weight_decay=0.01,
    decay_vectors=True,
    schedule="exponential",
    warmup_steps=0,
    epoch_decay=0.99,
    clip_norm=None,
    epochs=60,
    validate_every=1,
)
# Losses are in metres of a person 1.70 m tall at 30 frames/s.
_MOTION = LossWeights(
    position=1.0, scale=0.5, velocity=4.0, rank_margin=1.0, deviation=0.01, feet=0.35, **RANK_WEIGHTS
)
_DSTFORMER = replace(_PUBLISHED, recompute=True)
_AGFORMER = replace(_PUBLISHED, learning_rate=5e-4, batch=16)
_AGFORMER_MPI = replace(
    _AGFORMER,
    data=StoreConfig(stride=9, tail="keep"),
    skeleton="mpi-17",
    optimizer="adam-amsgrad",
    epochs=90,
)
_PRETRAINING = replace(
    _DSTFORMER,
    data=StoreConfig(projected=True, noise=True, mask_joints=0.05, mask_frames=0.1),
    learning_rate=5e-4,
    batch=64,
    epochs=90,
    root_relative=True,
)

PRESETS: dict[str, TrainConfig] = {
    # The packaged model.
    "default": TrainConfig(
        model="frameformer-feet",
        data=SyntheticConfig(mocap=Path("mocap")),
        losses=_MOTION,
        steps=37_500,
        batch=24,
        precision="bfloat16",
    ),
    # Procedural motion alone, a minute on a laptop: to try the command, and for the tests.
    "tiny": TrainConfig(
        data=SyntheticConfig(procedural=ProceduralConfig(clips=40)),
        losses=_MOTION,
        steps=100,
        batch=8,
        warmup_steps=20,
        validate_every=50,
        save_every=25,
    ),
    # RePOSE published its network and its losses, but no training program: MotionBERT-Lite's, and
    # RANK_WEIGHTS.
    "repose-human36m": replace(
        _DSTFORMER,
        model="repose",
        learning_rate=5e-4,
        losses=replace(_PUBLISHED.losses, **RANK_WEIGHTS),
    ),
    "motionbert-human36m": replace(_DSTFORMER, model="motionbert", learning_rate=2e-4, epochs=120),
    # With --initial, the pretrained checkpoint. Both sizes.
    "motionbert-finetune-human36m": replace(_DSTFORMER, model="motionbert", learning_rate=2e-4),
    "motionbert-lite-human36m": replace(_DSTFORMER, model="motionbert-lite", learning_rate=5e-4),
    # 2D and 3D: --data.store, --data.more and --data.stores-2d.
    "motionbert-pretrain": replace(_PRETRAINING, model="motionbert"),
    "motionbert-lite-pretrain": replace(_PRETRAINING, model="motionbert-lite"),
    "motionagformer-xs-human36m": replace(_AGFORMER, model="motionagformer-xs"),
    "motionagformer-s-human36m": replace(_AGFORMER, model="motionagformer-s"),
    "motionagformer-b-human36m": replace(_AGFORMER, model="motionagformer-b"),
    "motionagformer-l-human36m": replace(_AGFORMER, model="motionagformer-l"),
    "motionagformer-xs-mpi-inf-3dhp": replace(_AGFORMER_MPI, model="motionagformer-xs"),
    "motionagformer-s-mpi-inf-3dhp": replace(_AGFORMER_MPI, model="motionagformer-s", frames=81),
    "motionagformer-b-mpi-inf-3dhp": replace(_AGFORMER_MPI, model="motionagformer-b", frames=81),
    "motionagformer-l-mpi-inf-3dhp": replace(_AGFORMER_MPI, model="motionagformer-l", frames=81),
}
