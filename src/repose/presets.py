"""Named training configurations: plain values, to be read and changed."""

from pathlib import Path

from repose.data.procedural import ProceduralConfig
from repose.data.synthetic import SyntheticConfig
from repose.losses import LossWeights
from repose.train import TrainConfig

PRESETS: dict[str, TrainConfig] = {
    # The packaged model. Losses are in metres of a person 1.70 m tall at 30 frames/s. The relational
    # weights are small on purpose: a hinge at zero also rewards predicting less depth.
    "default": TrainConfig(
        data=SyntheticConfig(mocap=Path("mocap")),
        losses=LossWeights(position=1.0, scale=0.5, velocity=4.0, spatial_rank=0.02, temporal_rank=0.005),
        steps=9_000,
        batch=24,
        precision="bf16-mixed",
    ),
    # Procedural motion alone, a minute on a laptop: to try the command, and for the tests.
    "tiny": TrainConfig(
        data=SyntheticConfig(procedural=ProceduralConfig(clips=40)),
        losses=LossWeights(position=1.0, scale=0.5, velocity=4.0, spatial_rank=0.02, temporal_rank=0.005),
        steps=100,
        batch=8,
        warmup_steps=20,
        validate_every=50,
        save_every=25,
    ),
}
