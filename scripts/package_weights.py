"""Make a training checkpoint the packaged one: float16, and no path of the machine it was trained on.

    python scripts/package_weights.py RUN/model.safetensors src/repose/models/weights/default.safetensors
    python scripts/package_weights.py runs/second/model.safetensors OUT --blend default --mocap MOCAP

`--blend` takes the mean of these weights (`--share` of it) and of those that the run started from: a
fine-tuned network then keeps more of what it could do before (WiSE-FT, Wortsman et al., CVPR 2022). What a
model without feet knows nothing of stays the run's own. The deviations of a mean are calibrated anew, on the
validation subjects of `--mocap` with other bodies, as at the end of training.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from repose.errors import UserError
from repose.models import PoseModel, load_checkpoint, packaged_weights, save_checkpoint
from repose.skeleton import H36M_17
from repose.synthetic.motions import SyntheticClips, SyntheticConfig
from repose.training.run_folder import load_initial
from repose.training.validation import Validation


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("packaged", type=Path)
    parser.add_argument("--blend", metavar="MODEL", help="checkpoint, or name of packaged weights")
    parser.add_argument("--share", type=float, default=0.5, help="of the checkpoint in the mean")
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
        start = load_initial(packaged_weights().get(options.blend, Path(options.blend)), model.spec).float()
        blend(model, start, options.share)
        training["blend"] = {"with": Path(options.blend).name, "share": options.share}
        spec = replace(spec, deviation_factors=calibrate(model, options.mocap))
    options.packaged.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(options.packaged, model, replace(spec, training=training), torch.float16)
    print(f"{options.packaged}: {options.packaged.stat().st_size / 2**20:.1f} MiB, {spec.deviation_factors}")


def blend(model: PoseModel, other: PoseModel, share: float) -> None:
    """Make the weights of `model` the mean of its own, by `share`, and those of `other`, of the same kind.

    Toes and heels of an `other` that has grown them weigh nothing, or are its ankles: there they stay.
    """
    if model.spec.config != other.spec.config:
        raise UserError("the two checkpoints hold networks of different configurations")
    own, theirs = model.state_dict(), other.state_dict()
    for name, values in own.items():
        mean = share * values + (1 - share) * theirs[name]
        if name == "embed.weight":
            mean = torch.where((theirs[name] == 0).all(dim=0), values, mean)
        own[name] = mean
    joints, body = len(model.spec.layout), len(H36M_17)
    if bool((theirs["embed.weight"] == 0).all(dim=0).any()):
        for rows in (slice(3 * body, 3 * joints), slice(3 * joints + body, 4 * joints)):
            for name in ("head.weight", "head.bias"):
                own[name][rows] = model.state_dict()[name][rows]
    model.load_state_dict(own)


def calibrate(model: PoseModel, mocap: Path) -> dict[str, float]:
    data = SyntheticClips(
        SyntheticConfig(mocap=mocap),
        seed=0,
        batch=1,
        frames=model.spec.window_frames,
        skeleton=model.spec.layout,
    )
    return Validation(data).deviation_factors(model, torch.device("cpu"))


if __name__ == "__main__":
    main()
