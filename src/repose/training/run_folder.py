"""The folder of a training run: its settings, and the state from which it resumes."""

import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec
import torch
from msgspec import Struct
from torch import Tensor

from repose.errors import UserError, expected, reading, reads
from repose.files.output import stage_file
from repose.files.structured import Count, convert, decode
from repose.files.unpickler import check_torch_file
from repose.models import ModelSpec, PoseModel, build, load_checkpoint
from repose.models.checkpoint import read_spec
from repose.models.frameformer import add_feet
from repose.skeleton import H36M_17, H36M_FEET

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

STATE = "state.pt"
CONFIG = "config.json"
FABRIC_PRECISION: dict[str, Literal["32-true", "bf16-mixed"]] = {
    "float32": "32-true",
    "bfloat16": "bf16-mixed",
}
"""What Lightning Fabric calls the precisions of `TrainConfig`."""
SCORES = "validation.jsonl"
_GO_ON = "Delete it to begin again, or put the run's own back."

FREE = {"accelerator", "devices", "nodes", "workers", "accumulate", "compile", "save_every", "wandb"}
"""Settings that may change between sessions: they do not change what is computed."""
EXTENDS = {"steps", "epochs"}
"""Settings that may grow between sessions: the run goes on for longer."""


def check_folder(
    folder: Path, config: "DataclassInstance", default: "DataclassInstance", *, resume: bool
) -> None:
    """Refuse a folder that holds another run, or one to resume that holds none.

    A setting that was unknown when the run began counts as having had its default. With `resume` the run's
    length may grow.
    """
    if not (folder / CONFIG).exists():
        if resume:
            raise UserError(f"{folder} holds no run to resume", "Check the path, or start without --resume.")
        return
    if not resume:
        raise UserError(f"{folder} holds a run already", "Continue it with --resume, or name another folder.")
    found, wanted, defaults = read_config(folder), flatten(as_json(config)), flatten(as_json(default))
    for name in sorted((found.keys() | wanted.keys()) - FREE):
        before, now = found.get(name, defaults.get(name)), wanted.get(name)
        longer = name in EXTENDS and isinstance(before, int) and isinstance(now, int) and now > before
        if before != now and not longer:
            expected(
                f"{folder} holds a run with another configuration: {name}",
                before,
                now,
                f"Resume with the run's own settings ({CONFIG}), or name another folder.",
            )


@reads("the folder of a run")
def read_config(folder: Path) -> dict[str, Any]:
    """Read the configuration of the run in this folder, flattened.

    Raises UserError where there is none.
    """
    if not (folder / CONFIG).is_file():
        expected(str(folder), f"the folder of a run, with its {CONFIG}", "none")
    run: _Run = decode(str(folder / CONFIG), (folder / CONFIG).read_bytes(), _Run)
    config = flatten(run.config)
    former = {fabric: ours for ours, fabric in FABRIC_PRECISION.items()}
    if config.get("precision") in former:  # as version 0.1 wrote it
        config["precision"] = former[config["precision"]]
    return config


class _Run(Struct):
    """What `describe_run` writes, as far as it is read again."""

    config: dict[str, Any]


class _State(Struct):
    """The numbers of what `save_state` writes."""

    step: Count
    best: float


class Scores(NamedTuple):
    """One validation of a run."""

    step: int
    values: dict[str, float]
    """By the metric's name; NaN where it could not be measured."""

    def line(self) -> bytes:
        return msgspec.json.encode({"step": self.step, **self.values}) + b"\n"


def read_scores(folder: Path) -> list[Scores]:
    """Read the validations of the run in this folder, in order; empty before the first.

    A last line without an end is being written, or its writer was killed, and does not count.

    Raises UserError for a file of anything else.
    """
    path = folder / SCORES
    if not path.is_file():
        return []
    with reading(path, "validation scores, one JSON object a line"):
        lines = path.read_bytes().split(b"\n")[:-1]
        return [_scores(f"{path}, line {number}", line) for number, line in enumerate(lines, 1)]


def _scores(name: str, line: bytes) -> Scores:
    # NaN is null in JSON.
    values: dict[str, Any] = decode(name, line, dict[str, int | float | None])
    step: int = convert(f"{name}: step", values.pop("step", None), Count)
    return Scores(step, {metric: math.nan if value is None else value for metric, value in values.items()})


def describe_run(folder: Path, config: "DataclassInstance") -> None:
    """Write down what the run is, and for how long it goes on where it was written when the run began."""
    description, wanted = folder / CONFIG, as_json(config)
    if description.exists():
        record, times = json.loads(description.read_bytes()), description.stat()
        longer = {name: wanted[name] for name in EXTENDS if record["config"].get(name) != wanted[name]}
        if not longer:
            return
        record["config"] |= longer
    else:
        record, times = {"config": wanted, "versions": versions(), "command": sys.argv}, None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {error.strerror}", "Name another folder.") from None
    with stage_file(description) as partial:
        partial.write_text(json.dumps(record, indent=1))
    if times:  # its time is the run's name at Weights & Biases
        os.utime(description, ns=(times.st_atime_ns, times.st_mtime_ns))


def load_initial(path: Path, spec: ModelSpec) -> PoseModel:
    """Load a checkpoint of the model, with feet added where it has none (`frameformer.add_feet`)."""
    found = read_spec(path)
    joints = {"joints": len(H36M_17)}
    grows = (
        found is not None
        and (spec.architecture, spec.skeleton) == ("frameformer", H36M_FEET.name)
        and found.config == {**spec.config, **joints}
    )
    if not grows:
        return load_checkpoint(path, spec.name)
    model = build(spec)
    model.load_state_dict(add_feet(load_checkpoint(path).state_dict(), spec.config["deviation"]))
    return model


def save_state(path: Path, model: PoseModel, optimizer: Any, step: int, best: float) -> None:
    """Write what `restore` reads, whole or not at all; raises UserError where that cannot be done."""
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "best": best}
    with stage_file(path, hint="Free some disk space, then continue with --resume.") as partial:
        save_tensors(partial, state)


def save_tensors(path: Path, content: dict[str, Any]) -> None:
    """Save with `torch.save`, through a file of Python's, so that the reason of a failure is known."""
    with path.open("wb") as file:
        torch.save(content, file)


@reads("the saved state of a run")
def restore(path: Path, model: PoseModel, optimizer: Any) -> tuple[int, float]:
    """Load what `save_state` wrote: the next step and the best score so far.

    A run that was killed before its first save starts afresh.

    Raises:
        UserError: the file is damaged, or its weights or its optimizer's state are not of this run's model.
    """
    if not path.exists():
        return 0, math.inf
    check_torch_file(path)
    state = None
    with suppress(Exception):  # a damaged pickle can raise nearly anything
        state = torch.load(path, map_location="cpu", weights_only=True)
    wanted = ("model", "optimizer", "step", "best")
    if not isinstance(state, dict) or not all(key in state for key in wanted):
        found = f"one with {', '.join(map(str, state))}" if isinstance(state, dict) else "something else"
        expected(str(path), f"a state with {', '.join(wanted)}", found, _GO_ON)
    numbers: _State = convert(str(path), {"step": state["step"], "best": state["best"]}, _State, _GO_ON)
    if _form(state["model"]) != _form(model.state_dict()):
        expected(f"{path}: model", "the tensors of the run's model", "others", _GO_ON)
    if not _fits(state["optimizer"], optimizer):
        expected(f"{path}: optimizer", "the optimizer's state for the run's model", "another one", _GO_ON)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return numbers.step, numbers.best


def _form(tensors: Any) -> Any:
    """Names, shapes and types of tensors, None for anything else."""
    if not isinstance(tensors, dict) or not all(isinstance(value, Tensor) for value in tensors.values()):
        return None
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}


def _fits(found: Any, optimizer: Any) -> bool:
    """Whether a state has the groups of this optimizer, and tensors as large as its parameters'."""
    own = optimizer.state_dict()["param_groups"]
    try:
        groups, state = found["param_groups"], found["state"]
        for group, mine in zip(groups, own, strict=True):
            for key, value in mine.items():  # what another version of PyTorch did not save
                group.setdefault(key, value)
            if any(type(group[key]) is not type(mine[key]) for key in group.keys() & mine.keys()):
                return False
        numbers = [number for group in groups for number in group["params"]]
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        shapes = {number: parameter.shape for number, parameter in zip(numbers, parameters, strict=True)}
        return all(
            isinstance(value, Tensor) and value.shape in ((), shapes[number])
            for number, values in state.items()
            for value in values.values()
        )
    except (TypeError, ValueError, KeyError, AttributeError):
        return False


def versions() -> dict[str, str]:
    """Collect what the run was made with; the commit, if run from a checkout."""
    try:
        commit = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        commit = "unknown"
    return {
        "repose": version("repose3d"),
        "commit": commit,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
    }


def as_json(config: "DataclassInstance") -> dict[str, Any]:
    """Convert the configuration to what JSON will give back: paths as text, tuples as lists."""
    return json.loads(json.dumps(asdict(config), default=str))


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested dictionaries to keys such as `data.camera.roll_sigma_deg`."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat
