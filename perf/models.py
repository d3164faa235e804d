"""The architectures beside their published form, by each runtime: time and agreement.

    python perf/models.py [default repose motionagformer-b ...] [--published DIR] [--no-compile]

One clip, float32, CPU, all forms with the same weights, called in turn in one process: the published one,
ours eager, compiled (torch.compile), by onnxruntime, and by onnxruntime with matrices of bytes. The
reference form is written out below from the published formulas, in the published order of operations:
attention as product, softmax, product; tokens permuted around every attention; the graph's normalisation as
two products with a diagonal matrix. `--published DIR` measures the public modules themselves, found in the
checkouts of MotionBERT and MotionAGFormer below DIR. The packaged model, `default`, has no published form.
"""

import argparse
import importlib
import os
import sys
import types
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from cost import best_in_turn
from torch import Tensor, nn

from repose.models import (
    AGFormer,
    DSTformer,
    PoseModel,
    agformer,
    build,
    dstformer,
    export_onnx,
    load_checkpoint,
    packaged_weights,
)
from repose.models.dstformer import Attention
from repose.models.onnx_export import Quantisation
from repose.models.onnx_network import open_onnx
from repose.models.registry import Lifted

NAMES = ("default", "repose", "motionagformer-xs", "motionagformer-s", "motionagformer-b")
Form = Callable[[Tensor], Tensor]


def attention(module: Attention, x: Tensor, temporal: bool) -> Tensor:
    """Attention over the joints or over the frames of (batch, frames, joints, width)."""
    batch, frames, joints, width = x.shape
    heads = module.heads
    qkv = module.qkv(x).reshape(batch, frames, joints, 3, heads, width // heads).permute(3, 0, 4, 1, 2, 5)
    q, k, v = (part.transpose(2, 3) for part in qkv) if temporal else qkv
    weights = ((q @ k.transpose(-2, -1)) * (width // heads) ** -0.5).softmax(dim=-1)
    x = weights @ v
    x = x.permute(0, 3, 2, 1, 4) if temporal else x.permute(0, 2, 3, 1, 4)
    return module.proj(x.reshape(batch, frames, joints, width))


def reference_dstformer(model: DSTformer) -> Form:
    def spatial(block: dstformer.Block, x: Tensor) -> Tensor:
        x = x + attention(block.attn_s, block.norm1_s(x), temporal=False)
        return x + block.mlp_s(block.norm2_s(x))

    def temporal(block: dstformer.Block, x: Tensor) -> Tensor:
        x = x + attention(block.attn_t, block.norm1_t(x), temporal=True)
        return x + block.mlp_t(block.norm2_t(x))

    def forward(x: Tensor) -> Tensor:
        x = model.joints_embed(x) + model.pos_embed + model.temp_embed[:, : x.shape[1]]
        for st, ts, fuse in zip(model.blocks_st, model.blocks_ts, model.ts_attn, strict=True):
            x_st, x_ts = temporal(st, spatial(st, x)), spatial(ts, temporal(ts, x))
            weights = fuse(torch.cat([x_st, x_ts], dim=-1)).softmax(dim=-1)
            x = x_st * weights[..., 0:1] + x_ts * weights[..., 1:2]
        return model.head(model.pre_logits(model.norm(x)))

    return forward


def reference_agformer(model: AGFormer) -> Form:
    def graph(module: agformer.GraphConvolution, x: Tensor, temporal: bool) -> Tensor:
        shape = x.shape
        x = x.transpose(1, 2) if temporal else x
        turned = x.shape
        x = x.reshape(-1, *x.shape[2:])
        groups, nodes = x.shape[:2]
        if isinstance(module, agformer.SimilarityGraph):
            similarity = x @ x.transpose(1, 2)
            threshold = similarity.topk(module.neighbours, dim=-1).values[..., -1].view(groups, nodes, 1)
            adjacency = (similarity >= threshold).float()
        else:
            adjacency = module.get_buffer("bones").repeat(groups, 1, 1)
        degree = adjacency.sum(dim=-1) ** -0.5
        diagonal = torch.eye(nodes).view(1, nodes, nodes) * degree.view(groups, nodes, 1)
        normalised = torch.bmm(torch.bmm(diagonal, adjacency), diagonal)
        x = torch.relu(x + module.batch_norm(normalised @ module.V(x) + module.U(x)))
        x = x.reshape(turned)
        return (x.transpose(1, 2) if temporal else x).reshape(shape)

    def residual(block: agformer.Block, x: Tensor, temporal: bool) -> Tensor:
        mix = attention if isinstance(block.mixer, Attention) else graph
        x = x + block.layer_scale_1 * mix(block.mixer, block.norm1(x), temporal)
        return x + block.layer_scale_2 * block.mlp(block.norm2(x))

    def forward(x: Tensor) -> Tensor:
        x = model.joints_embed(x) + model.pos_embed
        for layer in model.layers:
            attended = residual(layer.att_temporal, residual(layer.att_spatial, x, False), True)
            convolved = residual(layer.graph_temporal, residual(layer.graph_spatial, x, False), True)
            weights = layer.fusion(torch.cat((attended, convolved), dim=-1)).softmax(dim=-1)
            x = attended * weights[..., 0:1] + convolved * weights[..., 1:2]
        return model.head(model.rep_logit(model.norm(x)))

    return forward


def reference(model: PoseModel) -> Form:
    return reference_dstformer(model) if isinstance(model, DSTformer) else reference_agformer(model)


def published(model: PoseModel, folder: Path) -> Form:
    """The public module of this architecture, with our weights."""
    config = model.config
    module_file = "lib/model/DSTformer.py" if isinstance(model, DSTformer) else "model/MotionAGFormer.py"
    found = next(iter(sorted(folder.rglob(module_file))), None)
    if found is None:
        sys.exit(f"{folder}: no {module_file} below it")
    root = found.parents[len(Path(module_file).parts) - 1]
    sys.path.insert(0, str(root))
    if isinstance(model, DSTformer):
        public = importlib.import_module("lib.model.DSTformer").DSTformer(
            dim_feat=config.width,
            dim_rep=config.representation,
            depth=config.depth,
            num_heads=config.heads,
            mlp_ratio=config.mlp_ratio,
            maxlen=config.frames,
            norm_layer=lambda width: nn.LayerNorm(width, eps=1e-6),
        )
    else:
        # Its one import from timm is stochastic depth, which the published models leave at zero.
        layers = types.ModuleType("timm.models.layers")
        layers.DropPath = nn.Identity
        for name in ("timm", "timm.models", "timm.models.layers"):
            sys.modules.setdefault(name, layers)
        public = importlib.import_module("model.MotionAGFormer").MotionAGFormer(
            n_layers=config.layers,
            dim_in=3,
            dim_feat=config.width,
            dim_rep=config.representation,
            num_heads=config.heads,
            neighbour_num=config.neighbours,
            n_frames=config.frames,
        )
    public.load_state_dict(model.state_dict())
    return public.eval()


def by_onnxruntime(model: PoseModel, file: Path, quantise: Quantisation = "none") -> Form:
    export_onnx(model, file, quantise)
    network = open_onnx(file)
    return lambda x: torch.from_numpy(network(x.numpy())[0])


def make(name: str) -> PoseModel:
    """The packaged weights, or a fresh model."""
    if name in packaged_weights():
        return load_checkpoint(packaged_weights()[name]).eval()
    torch.manual_seed(0)
    model = build(name).eval()
    # Layer scales of 1e-5 would hide a difference between the forms.
    for parameter in model.parameters():
        parameter.add_(0.02 * torch.randn_like(parameter))
    return model


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", default=NAMES, metavar="NAME", help=f"models ({' '.join(NAMES)})")
    parser.add_argument("--published", type=Path, metavar="DIR", help="measure the public modules below DIR")
    parser.add_argument("--no-compile", action="store_true", help="without torch.compile")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=20.0, help="spent on each model")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    os.environ["OMP_NUM_THREADS"] = str(options.threads)  # for onnxruntime
    for name in options.names:
        model = make(name)
        frames, joints = model.spec.window_frames, len(model.spec.layout)
        clip = torch.randn(1, frames, joints, 3)
        clip[..., 2] = torch.rand(1, frames, joints)
        forms: dict[str, Form] = {}
        if isinstance(model, DSTformer | AGFormer):
            public = options.published
            forms["published" if public else "reference"] = (
                published(model, public) if public else reference(model)
            )
        forms["eager"] = lambda x, model=model: Lifted.of(model(x)).joints
        with TemporaryDirectory() as folder:
            forms["onnxruntime"] = by_onnxruntime(model, Path(folder, "float.onnx"))
            forms["int8"] = by_onnxruntime(model, Path(folder, "int8.onnx"), "int8")
        if not options.no_compile:
            compiled = torch.compile(model)
            forms["compiled"] = lambda x, compiled=compiled: Lifted.of(compiled(x)).joints
        answers = {form: run(clip) for form, run in forms.items()}  # which warms up
        calls = [partial(run, clip) for run in forms.values()]
        times = dict(zip(forms, best_in_turn(calls, runs=5, seconds=options.seconds), strict=True))
        against = next(iter(forms))
        print(f"{name}, 1×{frames} frames, {options.threads} threads:")
        for form, seconds in times.items():
            apart = (answers[form] - answers["eager"]).abs()
            print(
                f"  {form:12} {seconds * 1e3:8.1f} ms, {times[against] / seconds:5.2f} times as fast as "
                f"{against}; from eager {apart.median():.1e} (median), {apart.max():.1e} (largest)",
                flush=True,
            )


if __name__ == "__main__":
    main()
