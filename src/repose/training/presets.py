"""Named training configurations: plain values, to be read and changed."""

from dataclasses import replace
from pathlib import Path

from repose.datasets.clips import StoreConfig
from repose.losses import LossWeights
from repose.synthetic.motions import SyntheticConfig
from repose.synthetic.procedural import ProceduralConfig
from repose.training.train_config import TrainConfig

RANK_WEIGHTS = {"spatial_rank": 1.0, "temporal_rank": 1.0}
"""Weights of RePOSE's relational losses, whose own are not published. All losses are lengths, in any unit:
at 1, order pulls a joint that is out of order with all others as strongly as its position does."""

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
# Losses are in metres of a person 1.70 m tall at 30 frames/s. The relational ones are a first guess that the
# packaged weights were trained with, before their effect was measured (docs/experiment.md).
_MOTION = LossWeights(
    position=1.0,
    scale=0.5,
    velocity=4.0,
    spatial_rank=0.2,
    temporal_rank=0.05,
    rank_margin=1.0,
    deviation=0.01,
    feet=0.35,
)
_DSTFORMER = replace(_PUBLISHED, recompute=True)
_AGFORMER = replace(_PUBLISHED, learning_rate=5e-4, batch=16)
_CPN = StoreConfig(no_conf=True)
_AGFORMER_CPN = replace(_AGFORMER, data=_CPN)
_AGFORMER_MPI = replace(
    _AGFORMER,
    data=StoreConfig(stride=9, tail="keep"),
    skeleton="mpi-17",
    optimizer="adam-amsgrad",
    epochs=90,
)
# TCPFormer's programs are MotionAGFormer's, with batches of 4, 8, 16 and 32 for 243, 81, 27 and 9 frames.
_TCPFORMER = replace(_AGFORMER, epochs=90)
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
    # RePOSE published its network and its losses, but no training program: the schedule is MotionBERT-Lite's
    # for finetuning, from the beginning, with RANK_WEIGHTS. The paper's result is not reproduced.
    "repose-human36m": replace(
        _DSTFORMER,
        model="repose",
        learning_rate=5e-4,
        losses=replace(_PUBLISHED.losses, **RANK_WEIGHTS),
    ),
    "motionbert-human36m": replace(_DSTFORMER, model="motionbert", learning_rate=2e-4, epochs=120),
    # From the pretrained checkpoint (--initial), which both sizes were published with. The light one was
    # published finetuned alone.
    "motionbert-finetune-human36m": replace(
        _DSTFORMER, model="motionbert", learning_rate=2e-4, initial=Path("MB_release/latest_epoch.bin")
    ),
    "motionbert-lite-finetune-human36m": replace(
        _DSTFORMER, model="motionbert-lite", learning_rate=5e-4, initial=Path("MB_lite/latest_epoch.bin")
    ),
    # 2D and 3D: --data.store, --data.more and --data.stores-2d.
    "motionbert-pretrain": replace(_PRETRAINING, model="motionbert"),
    "motionbert-lite-pretrain": replace(_PRETRAINING, model="motionbert-lite"),
    "motionagformer-xs-human36m": replace(_AGFORMER, model="motionagformer-xs"),
    "motionagformer-s-human36m": replace(_AGFORMER, model="motionagformer-s"),
    "motionagformer-b-human36m": replace(_AGFORMER, model="motionagformer-b"),
    "motionagformer-l-human36m": replace(_AGFORMER, model="motionagformer-l"),
    "tcpformer-human36m": replace(_TCPFORMER, model="tcpformer", batch=4),
    "tcpformer-81-human36m": replace(_TCPFORMER, model="tcpformer-81", batch=8),
    "tcpformer-81-mpi-inf-3dhp": replace(_AGFORMER_MPI, model="tcpformer-81", batch=8),
    "tcpformer-27-mpi-inf-3dhp": replace(_AGFORMER_MPI, model="tcpformer-27"),
    "tcpformer-9-mpi-inf-3dhp": replace(_AGFORMER_MPI, model="tcpformer-9", batch=32),
    # CPN's detections, as VideoPose3D distributes them: no confidence, 27, 81 and 243 frames.
    "motionagformer-xs-human36m-cpn": replace(_AGFORMER_CPN, model="motionagformer-xs"),
    "motionagformer-s-human36m-cpn": replace(_AGFORMER_CPN, model="motionagformer-s"),
    "motionagformer-b-human36m-cpn": replace(_AGFORMER_CPN, model="motionagformer-b"),
    "motionbert-lite-human36m-cpn": replace(
        _DSTFORMER, model="motionbert-lite", data=_CPN, learning_rate=5e-4
    ),
    "motionagformer-xs-mpi-inf-3dhp": replace(_AGFORMER_MPI, model="motionagformer-xs"),
    "motionagformer-s-mpi-inf-3dhp": replace(_AGFORMER_MPI, model="motionagformer-s", frames=81),
    "motionagformer-b-mpi-inf-3dhp": replace(_AGFORMER_MPI, model="motionagformer-b", frames=81),
    "motionagformer-l-mpi-inf-3dhp": replace(_AGFORMER_MPI, model="motionagformer-l", frames=81),
}
