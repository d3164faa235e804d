"""Make a training checkpoint the packaged one: float16, and no path of the machine it was trained on.

python scripts/package_weights.py runs/default/model.safetensors src/repose/weights/default.safetensors
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from repose.models import load_checkpoint, save_checkpoint


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("packaged", type=Path)
    options = parser.parse_args()
    model = load_checkpoint(options.checkpoint)
    training = {**model.spec.training}
    config = {**training["config"]}
    data = {**config["data"]}
    if data["mocap"] is not None:
        data["mocap"] = Path(data["mocap"]).name
    spec = replace(model.spec, training={**training, "config": {**config, "data": data}})
    options.packaged.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(options.packaged, model, spec, torch.float16)
    print(f"{options.packaged}: {options.packaged.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
