"""A training step of RePOSE, ours and the published loop written out: time, peak memory, share of the losses.

    python perf/train_step.py [--batch 4] [--frames 243] [--threads 2] [--steps 3] [--published DIR]

The published loop keeps every attention table, computes all seven position losses whatever their weights,
and the relational losses over a table of all pairs; it is written down here from the papers. With
`--published DIR` the network of a MotionBERT checkout in DIR takes its place (RePOSE is that network).
Each form runs in a process of its own, so that peak memory is its own; the forms take turns, and the time
is the best step of all turns, because a busy machine makes either wait. Peak memory varies by a quarter
from process to process (holes in the heap), so its median over turns is printed, with the extremes. Both
start from the same weights and see the same batch, and the losses are compared.
"""

import argparse
import json
import statistics
import sys
import time
from functools import partial
from pathlib import Path

import torch
from cost import in_own_process, peak_mb
from torch import Tensor, nn

FORMS = ("ours", "published")
TURNS = 3


def attend(heads: int, frames: int, self: nn.Module, x: Tensor) -> Tensor:
    """Attention with its table of weights: over joints of (clips·frames, joints, width), or over frames."""
    groups, tokens, width = x.shape
    qkv = self.qkv(x).reshape(groups, tokens, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
    q, k, v = qkv[0], qkv[1], qkv[2]
    if not frames:
        weights = (q @ k.transpose(-2, -1)) * (width // heads) ** -0.5
        mixed = (weights.softmax(dim=-1) @ v).transpose(1, 2).reshape(groups, tokens, width)
    else:
        q, k, v = (
            t.reshape(-1, frames, heads, tokens, width // heads).permute(0, 2, 3, 1, 4) for t in (q, k, v)
        )
        weights = (q @ k.transpose(-2, -1)) * (width // heads) ** -0.5
        mixed = (weights.softmax(dim=-1) @ v).permute(0, 3, 2, 1, 4).reshape(groups, tokens, width)
    return self.proj(mixed)


class PublishedBlock(nn.Module):
    """The published order of work: tokens stay (clips·frames, joints, width) throughout."""

    def __init__(self, block: nn.Module, heads: int) -> None:
        super().__init__()
        self.block, self.heads = block, heads

    def forward(self, x: Tensor) -> Tensor:
        batch, frames, joints, width = x.shape
        x = x.reshape(batch * frames, joints, width)
        for kind in "ts" if self.block.temporal_first else "st":
            attention, mlp = getattr(self.block, f"attn_{kind}"), getattr(self.block, f"mlp_{kind}")
            normed = getattr(self.block, f"norm1_{kind}")(x)
            x = x + attend(self.heads, frames if kind == "t" else 0, attention, normed)
            hidden = nn.functional.gelu(mlp.fc1(getattr(self.block, f"norm2_{kind}")(x)))
            x = x + mlp.fc2(hidden)
        return x.reshape(batch, frames, joints, width)


def pair_table(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean over all ordered pairs along the last axis of max(ẑ_i − ẑ_j, 0) · [z_i < z_j]."""
    behind = (predicted[..., :, None] - predicted[..., None, :]).clamp_min(0)
    return (behind * (target[..., :, None] < target[..., None, :])).mean()


def published_losses(predicted: Tensor, target: Tensor, weights: dict[str, float]) -> Tensor:
    from repose import losses

    values = {
        "position": losses.mpjpe(predicted, target),
        "scale": losses.n_mpjpe(predicted, target),
        "velocity": losses.velocity(predicted, target),
        "limb_variance": losses.limb_variance(predicted),
        "limb_length": losses.limb_length(predicted, target),
        "angle": losses.angle(predicted, target),
        "angle_velocity": losses.angle_velocity(predicted, target),
        "spatial_rank": pair_table(predicted[..., 2], target[..., 2]),
        "temporal_rank": pair_table(predicted[..., 2].transpose(1, 2), target[..., 2].transpose(1, 2)),
    }
    for value in values.values():
        value.item()  # the published loop keeps an average of each
    return sum(weights[name] * value for name, value in values.items())


def published_network(folder: Path, frames: int, state: dict[str, Tensor]) -> nn.Module:
    sys.path.insert(0, str(folder))
    from lib.model.DSTformer import DSTformer

    norm = partial(nn.LayerNorm, eps=1e-6)
    model = DSTformer(3, 3, 256, 512, 5, 8, 4, maxlen=frames, norm_layer=norm)
    model.load_state_dict(state)
    return model


def measure(form: str, options: argparse.Namespace) -> dict[str, float]:
    from dataclasses import asdict

    from repose.losses import total_loss
    from repose.models import build, find_spec
    from repose.models.recompute import recompute, release_memory
    from repose.training.loop import make_optimizer
    from repose.training.presets import PRESETS

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    config = PRESETS["repose-human36m"]
    model = build(find_spec("repose").with_config(frames=options.frames))
    if form == "published":
        if options.published:
            model = published_network(options.published, options.frames, model.state_dict())
        else:
            for blocks in (model.blocks_st, model.blocks_ts):
                for i, block in enumerate(blocks):
                    blocks[i] = PublishedBlock(block, model.config.heads)
    elif config.recompute:
        recompute(model)
    optimizer = make_optimizer(model, config)
    generator = torch.Generator().manual_seed(1)
    keypoints = torch.rand(options.batch, options.frames, 17, 3, generator=generator) * 2 - 1
    target = torch.rand(options.batch, options.frames, 17, 3, generator=generator) * 2 - 1

    result = {"step_s": float("inf"), "losses_s": float("inf")}
    for step in range(options.steps):
        start = time.perf_counter()
        predicted = model(keypoints)
        optimizer.zero_grad()
        begin_losses = time.perf_counter()
        if form == "ours":
            loss, _ = total_loss(predicted, target, config.losses)
        else:
            loss = published_losses(predicted, target, asdict(config.losses))
        # Their part of the backward pass, apart, so that it can be timed.
        (gradient,) = torch.autograd.grad(loss, predicted)
        end_losses = time.perf_counter()
        predicted.backward(gradient)
        optimizer.step()
        if form == "ours" and config.recompute:
            release_memory()
        result["step_s"] = min(result["step_s"], time.perf_counter() - start)
        result["losses_s"] = min(result["losses_s"], end_losses - begin_losses)
        result[f"loss_{step}"] = loss.item()
    result["peak_mb"] = peak_mb()
    return result


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--frames", type=int, default=243)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--published", type=Path)
    parser.add_argument("--form", choices=FORMS)
    options = parser.parse_args()
    if options.form:
        print(json.dumps(measure(options.form, options)))
        return
    best: dict[str, dict[str, float]] = {}
    peaks: dict[str, list[float]] = {form: [] for form in FORMS}
    for _ in range(TURNS):
        for form in FORMS:
            found = in_own_process(*sys.argv[1:], "--form", form)
            peaks[form].append(found["peak_mb"])
            best[form] = {key: min(value, best.get(form, found)[key]) for key, value in found.items()}
    for form, found in best.items():
        share = found["losses_s"] / found["step_s"]
        losses = ", ".join(f"{found[f'loss_{step}']:.5f}" for step in range(options.steps))
        print(
            f"{form:>9}: {found['step_s']:.2f} s a step, losses {share:.1%} of it, peak "
            f"{statistics.median(peaks[form]):.0f} MB ({min(peaks[form]):.0f} to {max(peaks[form]):.0f}), "
            f"loss {losses}"
        )
    ours, published = best["ours"], best["published"]
    print(
        f"ours is {published['step_s'] / ours['step_s']:.2f} times as fast, at "
        f"{statistics.median(peaks['ours']) / statistics.median(peaks['published']):.2f} of the memory"
    )


if __name__ == "__main__":
    main()
