"""A training step of FrameFormer with written-out attention, and with PyTorch's fused attention.

    python perf/training.py [--threads 2] [--precision bf16|32]

Forward and backward on CPU at the default preset's batch, the two forms in turn in one run; the time is
the best of all turns, because a busy machine makes either form wait.
"""

import argparse
from functools import partial

import torch
from cost import best_in_turn

from repose.models import PoseModel, build
from repose.training.presets import PRESETS

SECONDS = 30.0


def step(model: PoseModel, keypoints: torch.Tensor, fused: bool, bf16: bool) -> None:
    for block in model.blocks:
        block.train(not fused)  # a block in evaluation mode takes the fused form, and differs in nothing else
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        predicted = model(keypoints)
    predicted.square().mean().backward()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=("bf16", "32"), default="bf16")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    preset = PRESETS["default"]
    model = build(preset.model)
    keypoints = torch.rand(preset.batch, model.spec.window_frames, 17, 3)

    bf16 = options.precision == "bf16"
    written_out, fused = best_in_turn(
        [partial(step, model, keypoints, fused, bf16) for fused in (False, True)], seconds=SECONDS
    )
    frames = keypoints.shape[0] * keypoints.shape[1]
    for form, seconds in (("written out", written_out), ("fused", fused)):
        print(f"{form:>12}: {seconds:.3f} s a step, {frames / seconds:.0f} frames/s")
    print(f"{fused / written_out:.2f} times as fast written out")


if __name__ == "__main__":
    main()
