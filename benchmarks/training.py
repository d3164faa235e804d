"""A training step of FrameFormer with written-out attention, and with PyTorch's fused attention.

    python benchmarks/training.py [--threads 2] [--precision bf16|32]

Forward and backward on CPU at the default preset's batch, the two forms in turn in one run; the time is
the best of all turns, because a busy machine makes either form wait.
"""

import argparse
import time

import torch

from repose.models import PoseModel, build
from repose.training.presets import PRESETS

SECONDS = 30.0


def step_s(model: PoseModel, keypoints: torch.Tensor, fused: bool, bf16: bool) -> float:
    for block in model.blocks:
        block.train(not fused)  # a block in evaluation mode takes the fused form, and differs in nothing else
    start = time.perf_counter()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        predicted = model(keypoints)
    predicted.square().mean().backward()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=("bf16", "32"), default="bf16")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    preset = PRESETS["default"]
    model = build(preset.model)
    keypoints = torch.rand(preset.batch, model.spec.window_frames, 17, 3)

    best = {False: float("inf"), True: float("inf")}
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end or float("inf") in best.values():
        for fused in best:
            best[fused] = min(best[fused], step_s(model, keypoints, fused, options.precision == "bf16"))

    frames = keypoints.shape[0] * keypoints.shape[1]
    for fused, seconds in best.items():
        form = "fused" if fused else "written out"
        print(f"{form:>12}: {seconds:.3f} s a step, {frames / seconds:.0f} frames/s")
    print(f"{best[True] / best[False]:.2f} times as fast written out")


if __name__ == "__main__":
    main()
