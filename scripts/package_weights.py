"""Make a training checkpoint the packaged one: float16, and no path of the machine it was trained on.

    python scripts/package_weights.py RUN/model.safetensors src/repose/models/weights/default.safetensors
    python scripts/package_weights.py runs/second/model.safetensors OUT --blend default --mocap MOCAP

`--blend` takes the mean of these weights and of those that the run started from: a fine-tuned network then
keeps more of what it could do before (WiSE-FT, Wortsman et al., CVPR 2022). The deviations of a mean are
calibrated anew, on the validation subjects of `--mocap` with other bodies, as at the end of training.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from repose.errors import UserError
from repose.models import PoseModel, load_checkpoint, packaged_weights, save_checkpoint
from repose.synthetic.motions import SyntheticClips, SyntheticConfig
from repose.training.validation import Validation


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("packaged", type=Path)
    parser.add_argument("--blend", metavar="MODEL", help="checkpoint, or name of packaged weights")
    parser.add_argument("--mocap", type=Path, help="folder of motion capture to calibrate deviations on")
    options = parser.parse_args()
    if options.blend and not options.mocap:
        parser.error("--blend needs --mocap, to calibrate the deviations of the mean")
    model = load_checkpoint(options.checkpoint).float()
    spec = model.spec
    training = {**spec.training}
    config = {**training["config"]}
    data = {**config["data"]}
    for folder in ("mocap", "rendered"):
        if data.get(folder) is not None:
            data[folder] = Path(data[folder]).name
    training["config"] = {**config, "data": data}
    if options.blend:
        start = load_checkpoint(packaged_weights().get(options.blend, Path(options.blend))).float()
        blend(model, start)
        training["blend"] = {"with": Path(options.blend).name, "share": 0.5}
        spec = replace(spec, deviation_factors=calibrate(model, options.mocap))
    options.packaged.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(options.packaged, model, replace(spec, training=training), torch.float16)
    print(f"{options.packaged}: {options.packaged.stat().st_size / 2**20:.1f} MiB, {spec.deviation_factors}")


def blend(model: PoseModel, other: PoseModel) -> None:
    """Make the weights of `model` the mean of its own and those of `other`, a network of the same kind."""
    if model.spec.config != other.spec.config:
        raise UserError("the two checkpoints hold networks of different configurations")
    theirs = other.state_dict()
    model.load_state_dict({name: (own + theirs[name]) / 2 for name, own in model.state_dict().items()})


def calibrate(model: PoseModel, mocap: Path) -> dict[str, float]:
    data = SyntheticClips(SyntheticConfig(mocap=mocap), seed=0, batch=1, frames=model.spec.window_frames)
    return Validation(data).deviation_factors(model, torch.device("cpu"))


if __name__ == "__main__":
    main()
