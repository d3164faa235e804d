"""How much of the chip a training step of a published model uses, in float32, in bfloat16, and compiled.

    python perf/chip.py [--model repose] [--batch 32] [--frames 243] [--device cuda] [--peak-tflops 989]

The step is forward, relational and position losses, backward, AdamW. Its floating-point operations are
counted by PyTorch (matrix products and attention, forward and backward). The chip's peak is `--peak-tflops`
where given (the data sheet's), and otherwise what a large matrix product reaches here in the same precision.
"""

import argparse
from collections.abc import Callable
from contextlib import nullcontext

import torch
from cost import best_in_turn
from torch.utils.flop_counter import FlopCounterMode

from repose.losses import LossWeights, total_loss
from repose.models import build, find_spec


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="repose")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--frames", type=int, default=243)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--peak-tflops", type=float)
    parser.add_argument("--no-compile", action="store_true")
    options = parser.parse_args()
    device = torch.device(options.device)
    name = (
        torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    )
    print(f"{options.model}, {options.batch} × {options.frames} frames, {name}, PyTorch {torch.__version__}")
    for precision, compiled in (("float32", False), ("bfloat16", False), ("bfloat16", True)):
        if compiled and options.no_compile:
            continue
        step, operations = training_step(
            options.model, options.batch, options.frames, device, precision, compiled
        )
        seconds = best_time(step, device, options.steps)
        peak = 1e12 * options.peak_tflops if options.peak_tflops else matrix_peak(device, precision)
        rate = operations / seconds
        print(
            f"{precision}{', compiled' if compiled else '':10} {1000 * seconds:8.1f} ms a step, "
            f"{options.batch * options.frames / seconds:9.0f} frames/s, {rate / 1e12:7.2f} TFLOP/s, "
            f"{rate / peak:.1%} of {peak / 1e12:.2f}"
        )


def training_step(
    model: str, batch: int, frames: int, device: torch.device, precision: str, compiled: bool
) -> tuple[Callable[[], None], int]:
    """The step, and its number of floating-point operations."""
    torch.manual_seed(0)
    network = build(find_spec(model).with_config(frames=frames)).to(device).train()
    forward = torch.compile(network) if compiled else network
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
    keypoints, target = torch.rand(2, batch, frames, 17, 3, device=device)
    weights = LossWeights(spatial_rank=0.02, temporal_rank=0.005)
    half = precision == "bfloat16"

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16) if half else nullcontext():
            predicted = forward(keypoints)
        loss, _ = total_loss(predicted.float(), target, weights)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    # Operations do not depend on precision, and a compiled step hides them.
    plain, forward = forward, network
    with FlopCounterMode(display=False) as counter:
        step()
    forward = plain
    return step, counter.get_total_flops()


def matrix_peak(device: torch.device, precision: str, size: int = 4096) -> float:
    """Floating-point operations a second of a square matrix product."""
    size = size if device.type == "cuda" else size // 2
    a, b = torch.rand(2, size, size, device=device, dtype=getattr(torch, precision))
    return 2 * size**3 / best_time(lambda: a @ b, device, 10)


def best_time(work: Callable[[], object], device: torch.device, times: int) -> float:
    """Seconds of the quickest of several runs, after two that are not counted."""

    def finished() -> None:
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()

    best_in_turn([finished], runs=2)
    return best_in_turn([finished], runs=times)[0]


if __name__ == "__main__":
    main()
