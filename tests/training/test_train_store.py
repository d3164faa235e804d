"""Training on stores: a published step to the last digit, epochs, resuming, devices, finetuning."""

import importlib.util
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from repose.cli import main
from repose.datasets.clips import StoreClips, StoreConfig
from repose.datasets.store import ClipStore
from repose.datasets.store_writer import Recording, StoreInfo, write_store
from repose.errors import UserError
from repose.losses import total_loss
from repose.models import build, find_spec, load_checkpoint, register, registry
from repose.synthetic.motions import Batch
from repose.training.loop import make_model, make_optimizer, train
from repose.training.presets import PRESETS
from repose.training.train_config import TrainConfig, learning_rate

pytest.importorskip("lightning_fabric")

PARITY = Path(__file__).resolve().parents[1] / "parity"
SMALL = replace(
    find_spec("repose").with_config(width=16, representation=16, depth=1, heads=2, frames=9),
    name="small-repose",
)
PRESET = replace(
    PRESETS["repose-human36m"],
    model=SMALL.name,
    epochs=3,
    batch=4,
    save_every=2,
    accelerator="cpu",
    workers=0,
)


def make_store(path: Path, skeleton: str = "h36m-17") -> Path:
    """34 and 20 frames to train on, 13 windows of 9; 20 frames to test on, all random."""
    rng = np.random.default_rng(0)

    def recording(name: str, frames: int, *, test: bool) -> Recording:
        keypoints = rng.uniform(100, 900, (frames, 17, 3)).astype(np.float32)
        keypoints[..., 2] = rng.uniform(0.2, 1, (frames, 17))
        target = keypoints.copy()
        target[..., 2] = rng.uniform(-300, 300, (frames, 17))
        truth = {"truth_mm": 4 * target, "factor": np.full(frames, 4.0)} if test else {}
        return Recording(name, "S1", "Walking", "1", (1000, 1002), 50.0, keypoints, target, truth)

    info = StoreInfo("sample", skeleton, "image", licence="none")
    training = [recording("one", 34, test=False), recording("two", 20, test=False)]
    return write_store(path, info, {"train": training, "test": [recording("three", 20, test=True)]}).path


@pytest.fixture(autouse=True)
def small_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_specs", dict(registry._specs))
    register(SMALL)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("data") / "store")


@pytest.fixture
def config(store: Path) -> TrainConfig:
    return replace(PRESET, data=StoreConfig(store=store))


@pytest.fixture
def run(config: TrainConfig, tmp_path: Path) -> Path:
    """The folder of a run that went through undisturbed."""
    train(config, tmp_path / "run")
    return tmp_path / "run"


def scores(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "validation.jsonl").read_text().splitlines()]


def disturb(monkeypatch: pytest.MonkeyPatch, at: int, action: Callable[[Batch], Batch]) -> None:
    original = StoreClips.__getitem__

    def disturbed(self: StoreClips, step: int) -> Batch:
        batch = original(self, step)
        return action(batch) if step == at else batch

    monkeypatch.setattr(StoreClips, "__getitem__", disturbed)


# One step, against the formulas of the papers written down a second time.


def published_loss(predicted: Tensor, target: Tensor, spatial: float, temporal: float) -> Tensor:
    """MPJPE + 0.5 scale-free MPJPE + 20 velocity, and pairs whose depths are in the wrong order."""

    def distance(a: Tensor, b: Tensor) -> Tensor:
        return ((a - b) ** 2).sum(-1).sqrt().mean()

    scale = (predicted * target).sum((2, 3), True) / (predicted**2).sum((2, 3), True)
    motion = distance(predicted[:, 1:] - predicted[:, :-1], target[:, 1:] - target[:, :-1])
    total = distance(predicted, target) + 0.5 * distance(scale * predicted, target) + 20 * motion
    guess, depth = predicted[..., 2], target[..., 2]
    for weight, axis in ((spatial, 2), (temporal, 1)):
        wrong = (guess.unsqueeze(axis + 1) - guess.unsqueeze(axis)).clamp(min=0)
        total = total + weight * (wrong * (depth.unsqueeze(axis + 1) < depth.unsqueeze(axis))).mean()
    return total


def adam_by_hand(
    weights: list[Tensor], gradients: list[list[Tensor]], rate: float, decay: float, *, amsgrad: bool
) -> list[Tensor]:
    """Adam (Kingma and Ba), with decoupled decay (Loshchilov and Hutter) or as AMSGrad (Reddi et al.)."""
    moved = []
    for weight, history in zip(weights, zip(*gradients, strict=True), strict=True):
        mean, square, largest = (torch.zeros_like(weight) for _ in range(3))
        for t, gradient in enumerate(history, start=1):
            weight = weight * (1 - rate * decay)
            mean = 0.9 * mean + 0.1 * gradient
            square = 0.999 * square + 0.001 * gradient**2
            largest = torch.maximum(largest, square)
            root = ((largest if amsgrad else square) / (1 - 0.999**t)).sqrt()
            weight = weight - rate * (mean / (1 - 0.9**t)) / (root + 1e-8)
        moved.append(weight)
    return moved


def published_weights(model: torch.nn.Module) -> dict[str, Tensor]:
    module = importlib.util.spec_from_file_location("parity_weights", PARITY / "weights.py")
    assert module is not None
    assert module.loader is not None
    weights = importlib.util.module_from_spec(module)
    module.loader.exec_module(weights)
    return weights.deterministic_state_dict(model)


@pytest.mark.parametrize(
    ("name", "frames"),
    [
        ("repose-human36m", 6),
        ("motionbert-lite-finetune-human36m", 6),
        ("motionagformer-xs-human36m", None),
        ("motionagformer-xs-mpi-inf-3dhp", None),
    ],
)
def test_two_steps_of_a_published_configuration(name: str, frames: int | None) -> None:
    config = replace(PRESETS[name], frames=frames, initial=None)
    model = make_model(config)
    model.load_state_dict(published_weights(model))
    model = model.double()
    length = model.spec.window_frames
    published = np.load(PARITY / "h36m" / "clips_243.npz")
    keypoints = torch.from_numpy(published["train_input"][:2, :length]).double()
    target = torch.from_numpy(published["train_label"][:2, :length]).double()
    target = target - target[:, :, :1]
    assert (config.batch, config.epoch_decay, config.clip_norm) == (
        (16, 0.99, None) if "agformer" in name else (32, 0.99, None)
    )

    amsgrad = "mpi" in name
    ranks = config.losses.spatial_rank, config.losses.temporal_rank
    assert all(ranks) == name.startswith("repose")
    before = [p.detach().clone() for p in model.parameters()]
    optimizer = make_optimizer(model, config)
    gradients = []
    for _ in range(2):
        # The gradient of the written formula, then the step of the configuration.
        expected = published_loss(model(keypoints), target, *ranks)
        gradients.append([g.clone() for g in torch.autograd.grad(expected, list(model.parameters()))])
        loss, _ = total_loss(model(keypoints), target, config.losses)
        assert loss.item() == pytest.approx(expected.item(), abs=1e-9)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    after = adam_by_hand(before, gradients, 5e-4, 0.0 if amsgrad else 0.01, amsgrad=amsgrad)
    for (tensor, ours), theirs in zip(model.named_parameters(), after, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6, msg=tensor)


def test_the_loop_takes_that_step(config: TrainConfig, tmp_path: Path) -> None:
    config = replace(config, epochs=None, schedule="cosine", steps=1)
    train(config, tmp_path / "run")
    torch.manual_seed(0)
    model = make_model(config)
    batch = StoreClips(config.data, SMALL, seed=0, batch=4)[0]  # type: ignore[arg-type]
    loss, _ = total_loss(model(batch.keypoints), batch.target, config.losses)
    optimizer = make_optimizer(model, config)
    loss.backward()
    optimizer.step()
    trained = load_checkpoint(tmp_path / "run" / "model.safetensors").state_dict()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, trained[name]), name


# The loop.


def test_a_run_examines_every_epoch_and_leaves_the_best_and_the_last(run: Path, store: Path) -> None:
    lines = scores(run)
    assert [line["step"] for line in lines] == [4, 8, 12]
    assert lines[-1].keys() == {"step", "mpjpe_mm", "p_mpjpe_mm", "n_mpjpe_mm"}
    best = min(lines, key=lambda line: line["mpjpe_mm"])
    spec = load_checkpoint(run / "best.safetensors").spec
    assert spec.training["step"] == best["step"]
    assert spec.training["validation"]["mpjpe_mm"] == pytest.approx(best["mpjpe_mm"], abs=1e-3)
    assert (spec.normalisation, spec.frame_rate_hz, spec.window_frames) == ("screen", 50.0, 9)
    assert spec.training["config"]["data"]["store"] == store.name
    assert str(store.parent).encode() not in (run / "best.safetensors").read_bytes()


def test_the_rate_falls_by_a_hundredth_after_each_epoch(config: TrainConfig) -> None:
    rates = [learning_rate(config, step, 9, step // 3) for step in range(9)]
    assert rates == pytest.approx([5e-4] * 3 + [5e-4 * 0.99] * 3 + [5e-4 * 0.99**2] * 3)


def test_an_interrupted_run_resumes_as_if_nothing_had_happened(
    run: Path, config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(batch: Batch) -> Batch:
        raise KeyboardInterrupt

    folder = tmp_path / "again"
    with monkeypatch.context() as patch:
        disturb(patch, 7, interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(config, folder)
    torch.manual_seed(5)
    train(replace(config, workers=1), folder, resume=True)
    assert scores(run) == scores(folder)
    for file in ("model.safetensors", "best.safetensors"):
        one, other = (load_checkpoint(place / file).state_dict() for place in (run, folder))
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_batch(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(batch: Batch) -> Batch:
        target = batch.target.clone()
        target[1, 0, 3] = math.nan
        return replace(batch, target=target)

    disturb(monkeypatch, 4, spoil)
    with pytest.raises(UserError, match="step 4: expected a finite loss"):
        train(config, tmp_path / "run")
    kept = torch.load(tmp_path / "run" / "bad-batch-step4-rank0.pt", weights_only=True)
    assert kept["target"][1, 0, 3].isnan().all()


def test_pretraining_on_2d_and_3d(config: TrainConfig, store: Path, tmp_path: Path) -> None:
    data = replace(PRESETS["motionbert-pretrain"].data, store=store, stores_2d=(store,))
    assert isinstance(data, StoreConfig)
    data = replace(data, first_epoch_2d=1, frames_2d=9, stride_2d=9)
    # 13 windows of 3D, 5 of 2D: 4 steps, then 2 + 4.
    train(replace(config, data=data, epochs=2, root_relative=True), tmp_path / "run")
    assert [line["step"] for line in scores(tmp_path / "run")] == [4, 10]
    assert load_checkpoint(tmp_path / "run" / "model.safetensors").spec.root_relative


def test_finetuning_starts_from_the_checkpoint(run: Path, config: TrainConfig, tmp_path: Path) -> None:
    config = replace(config, initial=run / "best.safetensors", learning_rate=1e-12)
    train(config, tmp_path / "finetuned")
    one = load_checkpoint(run / "best.safetensors").state_dict()
    model = load_checkpoint(tmp_path / "finetuned" / "model.safetensors")
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, one[name], rtol=0, atol=1e-9)
    assert model.spec.training["config"]["initial"] == "best.safetensors"


def test_a_published_file_can_be_finetuned(config: TrainConfig, tmp_path: Path) -> None:
    model = build(SMALL.name)
    state = {f"module.{name}": tensor for name, tensor in model.state_dict().items()}
    torch.save({"epoch": 90, "model_pos": state}, tmp_path / "latest_epoch.bin")
    started = make_model(replace(config, initial=tmp_path / "latest_epoch.bin"))
    assert all(torch.equal(a, b) for a, b in zip(started.parameters(), model.parameters(), strict=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "motionbert"}, "best.safetensors: expected the model 'motionbert', found 'small-repose'"),
        ({"frames": 6}, "best.safetensors: small-repose with frames: expected 6, found 9"),
        ({"initial": Path("nowhere.bin")}, "nowhere.bin: cannot be read"),
    ],
)
def test_another_checkpoint_is_refused(
    run: Path, config: TrainConfig, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    config = replace(config, **{"initial": run / "best.safetensors", **change})
    with pytest.raises(UserError, match=message):
        train(config, tmp_path / "finetuned")
    assert not (tmp_path / "finetuned").exists()


def test_a_store_of_another_skeleton_is_refused_or_learned(config: TrainConfig, tmp_path: Path) -> None:
    store = make_store(tmp_path / "mpi", skeleton="mpi-17")
    config = replace(config, data=StoreConfig(store=store), epochs=1)
    with pytest.raises(UserError, match="skeleton: expected the model's, h36m-17, found mpi-17") as refusal:
        train(config, tmp_path / "run")
    assert "--target-skeleton mpi-17" in refusal.value.hint
    assert not (tmp_path / "run").exists()
    train(replace(config, skeleton="mpi-17"), tmp_path / "run")
    assert load_checkpoint(tmp_path / "run" / "model.safetensors").spec.skeleton == "mpi-17"


def test_a_store_without_truth_in_millimetres_is_refused_before_training(
    config: TrainConfig, tmp_path: Path
) -> None:
    store = ClipStore.open(config.data.store)  # type: ignore[union-attr, arg-type]
    train_split = store.split("train")
    keypoints = train_split.keypoints_px(train_split.sequences[0])
    video = Recording("one", "S1", "Walking", "1", (1000, 1002), 50.0, keypoints, keypoints)
    info = StoreInfo("sample", "h36m-17", "image", licence="none")
    path = write_store(tmp_path / "store", info, {"train": [video], "test": [video]}).path
    with pytest.raises(UserError, match="split test: expected the truth in millimetres"):
        train(replace(config, data=StoreConfig(store=path)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": None}, "schedule: expected a number of epochs for the exponential schedule"),
        ({"data": TrainConfig().data}, "epochs: expected a store, which is finite"),
        ({"epochs": 0}, "epochs: expected 1 to 100,000, found 0"),
    ],
)
def test_a_configuration_is_checked(config: TrainConfig, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        replace(config, **change)


def test_without_wandb_it_says_what_to_install(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UserError, match="--wandb needs wandb"):
        train(replace(config, wandb="project"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_curves_go_to_wandb_too(config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[dict[str, Any]] = []
    logged: list[tuple[int, dict[str, float]]] = []

    class Run:
        def log(self, values: dict[str, float], step: int) -> None:
            logged.append((step, values))

        def finish(self) -> None:
            logged.append((-1, {}))

    wandb = ModuleType("wandb")
    wandb.init = lambda **options: started.append(options) or Run()  # type: ignore[attr-defined, func-returns-value]
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    config = replace(config, wandb="project")
    train(config, tmp_path / "run")
    train(config, tmp_path / "run", resume=True)
    assert [options["project"] for options in started] == ["project", "project"]
    assert started[0]["id"] == started[1]["id"]
    assert started[0]["config"]["losses.velocity"] == 20.0
    assert "train/spatial_rank" in logged[0][1]
    assert [step for step, values in logged if "validation/mpjpe_mm" in values] == [4, 8, 12]
    assert logged[-1] == (-1, {})


# The command, with a backbone of one's own, on one device and on two.

BACKBONE = """
from dataclasses import dataclass
import torch
from repose.models import ModelSpec, PoseModel, register, register_architecture

@dataclass(frozen=True)
class MineConfig:
    width: int = 8

class Mine(PoseModel):
    def __init__(self, config):
        super().__init__()
        self.inner = torch.nn.Linear(3, config.width)
        self.outer = torch.nn.Linear(config.width, 3)

    def forward(self, keypoints):
        return self.outer(self.inner(keypoints).tanh())

register_architecture("mine", MineConfig, Mine)
register(ModelSpec("mine-s", "mine", {"width": 8}, "h36m-17", 50.0, 9, "screen"))
"""


def test_a_backbone_of_one_s_own_on_one_device_and_on_two(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_backbone.py").write_text(BACKBONE)
    # 13 windows: the last batch of an epoch is a single clip, and one device has none of it.
    options = ["--model", "mine-s", "--import", "my_backbone", "--data.store", str(store)]
    options += ["--epochs", "2", "--accelerator", "cpu", "--workers", "0"]
    for devices in (1, 2):
        command = ["-m", "repose", "train", "repose-human36m", *options, "-o", f"run{devices}"]
        done = subprocess.run(
            [sys.executable, *command, "--devices", str(devices), "--batch", "6"],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=180,
        )
        assert done.returncode == 0, done.stderr
    monkeypatch.setattr(registry, "_architectures", dict(registry._architectures))
    exec(BACKBONE, {"__name__": "my_backbone"})
    one, two = (load_checkpoint(tmp_path / f"run{n}" / "model.safetensors").state_dict() for n in (1, 2))
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-4, atol=1e-6, msg=name)
    for left, right in zip(scores(tmp_path / "run1"), scores(tmp_path / "run2"), strict=True):
        assert left == pytest.approx(right, rel=1e-4)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["repose-human36m"], ["no data set to train on", "--data.store STORE"]),
        (["repose-human36m", "--import", "not_there"], ["no module is called 'not_there'"]),
    ],
)
def test_the_command_says_what_is_missing(
    arguments: list[str], words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["train", *arguments, "-o", str(tmp_path / "run")])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert all(word in error for word in words)
    assert not (tmp_path / "run").exists()
