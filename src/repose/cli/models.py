"""`repose models` and `repose convert`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro

import repose
from repose.cli.terminal import console, echo, table
from repose.errors import UserError, expected
from repose.files.output import check_file, stage_file
from repose.pose import Pose2D

_FARTHEST_MM = 0.5
_OURS, _PUBLISHED = ".safetensors", (".bin", ".pt", ".tr")
"""Endings of checkpoints in our form and in that of the published programs."""


@dataclass(frozen=True)
class Models:
    """List the packaged weights, and the architectures that checkpoints may have."""

    def run(self) -> None:
        from repose.models import list_models

        rows = table(
            "name",
            "parameters",
            "frames",
            "Hz",
            "2D input",
            "weights",
            right=("parameters", "frames", "Hz"),
        )
        for model in list_models():
            spec = model.spec
            rows.add_row(
                model.name,
                f"{model.parameters / 1e6:.1f} M",
                str(spec.window_frames),
                f"{spec.frame_rate_hz:g}",
                spec.normalisation,
                "packaged" if model.weights else "yours",
            )
        console.print(rows)
        console.print("Select packaged weights by name (--model NAME), your own by the path of a checkpoint.")


@dataclass(frozen=True)
class Convert:
    """Write a model as ONNX, for use without PyTorch, or as the network's authors write theirs.

    An ONNX file takes any number of people and frames, and says itself how it is used. `--model FILE.onnx`
    and `repose.load` open it. A file that ends in .bin, .pt or .tr is the training checkpoint of the
    network's official program, which loads it strictly; one that ends in .safetensors is ours.
    """

    model: Annotated[str, tyro.conf.Positional]
    """Name of packaged weights (`repose models`) or path of a checkpoint, ours or a published one."""
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """The file to write; its ending says which kind."""
    architecture: str | None = None
    """Model in a published checkpoint, if its tensors do not determine it."""
    quantize: Literal["none", "float16", "int8"] = "none"
    """Make the file smaller: weights in float16, or products of matrices in int8, which is faster, too. The
    difference is measured on poses, and refused from 0.5 mm on."""
    force: bool = False
    """Overwrite existing files."""

    def run(self) -> None:
        from repose.models import (
            export_onnx,
            find_checkpoint,
            load_checkpoint,
            save_checkpoint,
            save_published,
        )

        if self.out.suffix not in (*_PUBLISHED, _OURS, ".onnx"):
            endings = ", ".join((".onnx", _OURS, *_PUBLISHED))
            expected(str(self.out), f"a file that ends in {endings}", self.out.suffix or "no ending")
        if self.out.suffix != ".onnx" and self.quantize != "none":
            expected("--quantize", "a file that ends in .onnx", self.out.name)
        check_file(self.out, force=self.force)
        model = load_checkpoint(find_checkpoint(self.model), self.architecture)
        if self.out.suffix != ".onnx":
            if self.out.suffix == _OURS:
                save_checkpoint(self.out, model, model.spec)
            else:
                save_published(self.out, model)
            echo(f"Written: {self.out} ({self.out.stat().st_size / 1e6:.1f} MB)")
            return
        with stage_file(self.out) as partial:
            export_onnx(model, partial, self.quantize)
            apart_mm = difference_mm(repose.load(partial, device="cpu"), repose.Lifter(model, device="cpu"))
            if apart_mm > _FARTHEST_MM:
                raise UserError(
                    f"{self.out}: not written, since joints of the sample would be {apart_mm:.1f} mm from "
                    f"PyTorch's on average: expected at most {_FARTHEST_MM:g} mm",
                    "Convert without --quantize.",
                )
        size_mb = self.out.stat().st_size / 1e6
        echo(f"Written: {self.out} ({size_mb:.1f} MB; joints differ by {apart_mm:.4f} mm from PyTorch's)")


def difference_mm(one: repose.Lifter, other: repose.Lifter) -> float:
    """Return how far apart joints are by two lifters: the mean over the packaged sample, hidden ones too."""
    from repose.sample import load_sample_truth

    truth = load_sample_truth()
    points = truth.joints_m @ truth.K.T
    points_px = points[..., :2] / points[..., 2:]
    confidence = np.where(truth.hidden, 0.0, 0.9)
    rows = np.arange(len(points))
    track = Pose2D(points_px, confidence, rows, truth.fps, truth.image_size, truth.skeleton)
    apart = one.lift(track, root=False).joints_m - other.lift(track, root=False).joints_m
    return float(1000 * np.linalg.norm(apart, axis=-1).mean())
