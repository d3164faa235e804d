"""The relational losses beside the published broadcast form: time, peak memory and agreement.

    python perf/relational_loss.py [--threads 2]

Forward and backward of both losses, float32, CPU. Each measurement has a process of its own, so that its
peak memory is its own; "extra" is the peak above what stood before the first call. The time is the best of
all runs in some seconds, because a busy machine makes either form wait.
"""

import argparse
import json

import torch
from cost import best_in_turn, in_own_process, peak_mb
from torch import Tensor

from repose.losses import spatial_rank, temporal_rank

SHAPES = ((16, 243, 17, 3), (1, 10_000, 17, 3))
SECONDS = 4.0


def ours(predicted: Tensor, target: Tensor) -> Tensor:
    return spatial_rank(predicted, target) + temporal_rank(predicted, target)


def broadcast(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean over all ordered pairs of max(ẑ_i − ẑ_j, 0) · [z_i < z_j], written down."""
    total = predicted.new_zeros(())
    for axis in (2, 1):
        guess, truth = (x[..., 2].movedim(axis, -1) for x in (predicted, target))
        difference = guess.unsqueeze(-1) - guess.unsqueeze(-2)
        charged = torch.maximum(difference, torch.zeros_like(difference))
        total = total + (charged * (truth.unsqueeze(-1) < truth.unsqueeze(-2))).mean()
    return total


FORMS = {form.__name__: form for form in (ours, broadcast)}


def measure(name: str, shape: tuple[int, ...], threads: int) -> None:
    """Print one form's best time, extra memory, value and gradient norm as JSON."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    predicted, target = torch.randn(2, *shape)
    predicted.requires_grad_()
    small = predicted[:, :2].detach().requires_grad_()
    FORMS[name](small, target[:, :2]).backward()
    before = peak_mb()

    def step() -> Tensor:
        predicted.grad = None
        loss = FORMS[name](predicted, target)
        loss.backward()
        return loss

    (seconds,) = best_in_turn([step], seconds=SECONDS)
    result = {
        "seconds": seconds,
        "extra_mb": peak_mb() - before,
        "value": step().item(),
        "gradient": predicted.grad.norm().item(),
    }
    print(json.dumps(result))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        name, shape = options.measure
        measure(name, tuple(json.loads(shape)), options.threads)
        return
    print(f"PyTorch {torch.__version__}, {options.threads} threads")
    for shape in SHAPES:
        results = {}
        for name in FORMS:
            if name == "broadcast" and shape[1] > 1000:  # its tables would take 7 GB each
                continue
            results[name] = in_own_process("--threads", options.threads, "--measure", name, json.dumps(shape))
            print(
                f"{shape!s:20} {name:10} {results[name]['seconds']:8.4f} s "
                f"{results[name]['extra_mb']:8.1f} MB extra   value {results[name]['value']:.9f}"
                f"   |gradient| {results[name]['gradient']:.9f}"
            )
        if len(results) == 2:
            faster = results["broadcast"]["seconds"] / results["ours"]["seconds"]
            memory = results["ours"]["extra_mb"] / results["broadcast"]["extra_mb"]
            print(f"{shape!s:20} {faster:.0f} times as fast, {memory:.4f} of the extra memory")


if __name__ == "__main__":
    main()
