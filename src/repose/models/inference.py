"""How models run: where, with which numbers, and windows over clips longer than a model takes at once."""

from collections.abc import Sequence
from ctypes import CDLL
from importlib.util import find_spec
from pathlib import Path
from platform import machine
from sys import platform
from typing import Literal

import numpy as np
from jaxtyping import Float

from repose.errors import UserError, without_torch
from repose.models.spec import PACKAGED, ModelSpec

OVERLAP = 0.25
"""Share of a window that the next one has, too."""
Device = Literal["auto", "cpu", "cuda", "mps", "coreml", "directml"]
Precision = Literal["float32", "bfloat16"]
Clips = Float[np.ndarray, "batch frames joints 3"]
Deviations = Float[np.ndarray, "batch frames joints"]


class Network:
    """A trained model, ready to run: what PyTorch and onnxruntime have in common."""

    spec: ModelSpec
    device: str
    """Where it computes, one of `Device`."""

    def __call__(self, clips: Clips) -> tuple[Clips, Deviations | None]:
        """Return joints and their deviations (see `repose.models.PoseModel`), None of a model without."""
        raise NotImplementedError


def open_network(
    path: Path, architecture: str | None = None, device: Device = "auto", precision: Precision = "float32"
) -> Network:
    """Open a model with what runs it fastest: onnxruntime for ONNX and packaged weights, else PyTorch.

    On a graphics card PyTorch is preferred where it is installed, since it may use what onnxruntime's
    usual build cannot.

    Args:
        path: a checkpoint, ours or a published one, or an ONNX file that `repose convert` wrote.
        architecture: as for `repose.models.load_checkpoint`.
        device: where to compute; `auto` is the best available.
        precision: of the computation.

    Raises:
        UserError: neither can open it, a runtime that is not installed, and a device that is not there.
    """
    from repose.models.onnx_network import is_onnx, open_onnx

    graph = path.with_suffix(".onnx")
    packaged = path.parent == PACKAGED and graph.is_file()
    if is_onnx(path):
        if precision != "float32" or architecture:
            option = f"architecture {architecture!r}" if architecture else f"precision {precision!r}"
            raise UserError(f"{path}: an ONNX model has no {option}", "Leave the option out.")
        return open_onnx(path, device)
    if packaged and precision == "float32" and not architecture and _prefer_onnx(device):
        return open_onnx(graph, device, weights=path)
    try:
        from repose.models.checkpoint import load_checkpoint
        from repose.models.torch_network import TorchNetwork
    except ModuleNotFoundError as error:
        raise without_torch(error, f"{path.name}: this checkpoint") from None
    return TorchNetwork(load_checkpoint(path, architecture), device, precision)


def _prefer_onnx(device: Device) -> bool:
    if find_spec("onnxruntime") is None:
        return False
    if find_spec("torch") is None:
        return True
    return device in ("cpu", "coreml", "directml") or (device == "auto" and not _graphics_card())


def _graphics_card() -> bool:
    """Whether there is one that PyTorch might use; asking PyTorch itself would take seconds."""
    if platform == "darwin":
        return machine() == "arm64"
    try:
        CDLL("nvcuda.dll" if platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def window_starts(frames: int, window: int, overlap: int) -> list[int]:
    """Return the first frames of windows that cover `frames` evenly and overlap by at least `overlap`."""
    if frames <= window:
        return [0]
    count = int(np.ceil((frames - overlap) / (window - overlap)))
    return [round(i * (frames - window) / (count - 1)) for i in range(count)]


def blend(
    windows: Float[np.ndarray, "windows length *axes"], starts: Sequence[int], overlap: int
) -> Float[np.ndarray, "frames *axes"]:
    """Join windows that begin at `starts`; over `overlap` frames one fades into the next, a raised cosine."""
    length = windows.shape[1]
    fade = 0.5 - 0.5 * np.cos(np.pi * (np.arange(overlap) + 0.5) / max(overlap, 1))
    total = np.zeros((starts[-1] + length, *windows.shape[2:]))
    weights = np.zeros((len(total), *[1] * (total.ndim - 1)))
    for start, window in zip(starts, windows, strict=True):
        share = np.ones(length)
        if start != starts[0]:
            share[:overlap] = fade
        if start != starts[-1]:
            share[length - overlap :] = fade[::-1]
        share = share.reshape(-1, *[1] * (total.ndim - 1))
        total[start : start + length] += share * window
        weights[start : start + length] += share
    return (total / weights).astype(np.float32)
