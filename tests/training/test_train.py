"""Training: what a run leaves behind, and that stopping it at any point changes nothing."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from repose.errors import UserError
from repose.losses import LossWeights
from repose.models import PoseModel, build, find_spec, load_checkpoint, packaged_weights, register, registry
from repose.synthetic.motions import Batch, SyntheticClips, SyntheticConfig
from repose.synthetic.procedural import ProceduralConfig, make_motion
from repose.training.loop import Validation, make_model, train
from repose.training.run_folder import read_scores
from repose.training.train_config import TrainConfig, learning_rate, schedule

pytest.importorskip("lightning_fabric")
tensorboard = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

SMALL = replace(
    find_spec("frameformer").with_config(width=32, depth=1, heads=2),
    name="small-frameformer",
    window_frames=12,
)
CONFIG = TrainConfig(
    model=SMALL.name,
    data=SyntheticConfig(procedural=ProceduralConfig(clips=3, seconds=2.0)),
    losses=LossWeights(position=1.0, scale=0.5, velocity=4.0, spatial_rank=0.02, temporal_rank=0.005),
    steps=12,
    batch=4,
    learning_rate=3e-3,
    warmup_steps=2,
    validate_every=4,
    save_every=5,
    accelerator="cpu",
    workers=0,
)


@pytest.fixture(autouse=True)
def small_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_specs", dict(registry._specs))
    register(SMALL)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that went through undisturbed."""
    folder = tmp_path_factory.mktemp("train") / "run"
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(registry, "_specs", dict(registry._specs))
        register(SMALL)
        assert train(CONFIG, folder) == folder / "model.safetensors"
    return folder


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(folder / "model.safetensors").state_dict()


def assert_same_run(one: Path, other: Path) -> None:
    """Equal to the bit: weights, best weights, the optimizer's state and the validation scores."""
    for file in ("model.safetensors", "best.safetensors"):
        left, right = (load_checkpoint(folder / file).state_dict() for folder in (one, other))
        for name in left:
            assert torch.equal(left[name], right[name]), (file, name)
    states = [torch.load(folder / "state.pt", weights_only=True) for folder in (one, other)]
    moments = [state["optimizer"]["state"] for state in states]
    for parameter, moment in moments[0].items():
        for name, value in moment.items():
            assert torch.equal(value, moments[1][parameter][name]), name
    assert states[0]["best"] == states[1]["best"]
    assert (one / "validation.jsonl").read_text() == (other / "validation.jsonl").read_text()


def disturb(monkeypatch: pytest.MonkeyPatch, at: int, action: Callable[[Batch], Batch]) -> None:
    """Let `action` change the batch of step `at`, or raise."""
    original = SyntheticClips.__getitem__

    def disturbed(self: SyntheticClips, step: int) -> Batch:
        batch = original(self, step)
        return action(batch) if step == at else batch

    monkeypatch.setattr(SyntheticClips, "__getitem__", disturbed)


def interrupt(batch: Batch) -> Batch:
    raise KeyboardInterrupt


def test_a_run_leaves_all_that_is_needed_to_understand_and_use_it(run: Path) -> None:
    names = {path.name for path in run.iterdir()}
    events = [name for name in names if name.startswith("events.out.tfevents")]
    assert len(events) == 1
    assert names - set(events) == {
        "config.json",
        "state.pt",
        "model.safetensors",
        "best.safetensors",
        "validation.jsonl",
    }
    record = json.loads((run / "config.json").read_text())
    assert record["config"]["data"]["procedural"]["clips"] == 3
    assert record["config"]["seed"] == 0
    assert record["versions"].keys() >= {"repose", "commit", "torch", "python"}
    lines = [json.loads(line) for line in (run / "validation.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [4, 8, 12]
    assert all(line["noisy_p_mpjpe_mm"] < line["noisy_mpjpe_mm"] for line in lines)
    assert all(line["clean_p_mpjpe_mm"] < 400 for line in lines)


def test_its_checkpoints_rebuild_the_model_and_tell_how_it_was_trained(run: Path) -> None:
    model = load_checkpoint(run / "best.safetensors")
    assert model.spec.normalisation == "rays"
    assert model.spec.window_frames == 12
    record = model.spec.training
    assert record["config"]["losses"]["spatial_rank"] == 0.02
    best = json.loads((run / "validation.jsonl").read_text().splitlines()[record["step"] // 4 - 1])
    assert record["validation"]["noisy_p_mpjpe_mm"] == pytest.approx(best["noisy_p_mpjpe_mm"], abs=1e-3)
    assert model(torch.rand(1, 5, 17, 3)).shape == (1, 5, 17, 4)


def test_curves_are_written(run: Path) -> None:
    curves = tensorboard.EventAccumulator(str(run)).Reload()
    tags = curves.Tags()["scalars"]
    assert {"train/loss", "train/spatial_rank", "train/rate", "validation/noisy_p_mpjpe_mm"} <= set(tags)
    assert [event.step for event in curves.Scalars("validation/clean_mpjpe_mm")] == [4, 8, 12]


def test_the_loss_falls(tmp_path: Path) -> None:
    config = replace(CONFIG, steps=60, validate_every=60, save_every=60, seed=3)
    folder = tmp_path / "run"
    train(config, folder)
    trained = load_checkpoint(folder / "model.safetensors")
    torch.manual_seed(config.seed)
    fresh = build(SMALL.name)
    validation = Validation(SyntheticClips(config.data, seed=0, batch=2, frames=12), clips=16)
    scores = [validation.score(model, torch.device("cpu"))["clean_mpjpe_mm"] for model in (fresh, trained)]
    assert scores[1] < 0.8 * scores[0]


class Sure(PoseModel):
    """Right but for 3 cm along x where a joint is seen and 9 cm where it is not; sure of 1 cm.

    It is told the truth of the batches, which come in this order.
    """

    def __init__(self, targets: Iterable[torch.Tensor]) -> None:
        super().__init__()
        self.targets = iter(targets)

    def forward(self, keypoints: torch.Tensor) -> torch.Tensor:
        off = torch.where(keypoints[..., 2] > 0, 0.03, 0.09)
        joints = next(self.targets).clone()
        joints[:, :, 1:, 0] += off[:, :, 1:]
        return torch.cat([joints, torch.full_like(joints[..., :1], 0.01).log()], dim=-1)


def test_the_deviation_is_set_right_for_seen_and_hidden_joints() -> None:
    validation = Validation(SyntheticClips(CONFIG.data, seed=0, batch=2, frames=12), clips=16)
    sure = Sure(batch.target for batch in validation.other_bodies())
    factors = validation.deviation_factors(sure, torch.device("cpu"))
    # Errors of one size are within one deviation where this is as large, and within two at half of it.
    assert factors == {
        "seen": pytest.approx(3 / 2**0.5, abs=0.01),
        "hidden": pytest.approx(9 / 2**0.5, abs=0.01),
    }
    plain = build(find_spec("frameformer").with_config(width=32, depth=1, heads=2, deviation=False))
    assert validation.deviation_factors(plain, torch.device("cpu")) == {}


def test_a_trained_model_carries_its_factors(run: Path) -> None:
    factors = load_checkpoint(run / "model.safetensors").spec.deviation_factors
    assert set(factors) == {"seen", "hidden"}
    assert load_checkpoint(run / "best.safetensors").spec.deviation_factors == {}


def test_an_interrupted_run_resumes_as_if_nothing_had_happened(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        disturb(patch, 9, interrupt)  # state saved after step 5, validation done at 8
        with pytest.raises(KeyboardInterrupt):
            train(CONFIG, folder)
    assert not list(folder.glob("*partial*"))
    assert not (folder / "model.safetensors").exists()
    with (folder / "validation.jsonl").open("a") as file:
        file.write('{"step": 12, "clean_')  # as a kill in the middle of a line leaves it
    torch.manual_seed(99)
    train(CONFIG, folder, resume=True)
    assert_same_run(run, folder)
    curves = tensorboard.EventAccumulator(str(folder)).Reload()
    assert [event.step for event in curves.Scalars("train/loss")] == [0]


def test_a_run_stopped_before_its_first_save_resumes_from_the_start(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        disturb(patch, 3, interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(CONFIG, folder)
    assert not (folder / "state.pt").exists()
    # Where the batches are made does not matter either.
    train(replace(CONFIG, workers=1), folder, resume=True)
    assert_same_run(run, folder)


def test_resuming_a_finished_run_changes_nothing(run: Path) -> None:
    before = (run / "model.safetensors").read_bytes(), (run / "validation.jsonl").read_bytes()
    train(CONFIG, run, resume=True)
    assert before == ((run / "model.safetensors").read_bytes(), (run / "validation.jsonl").read_bytes())


def test_a_finished_run_goes_on_for_longer(run: Path, tmp_path: Path) -> None:
    constant = replace(CONFIG, schedule="trapezoid", cooldown=0.01)  # a rate that does not depend on the end
    short, whole = tmp_path / "short", tmp_path / "whole"
    train(constant, short)
    named = (short / "config.json").stat().st_mtime_ns
    train(replace(constant, steps=20), short, resume=True)
    train(replace(constant, steps=20), whole)
    assert_same_run(whole, short)
    assert json.loads((short / "config.json").read_text())["config"]["steps"] == 20
    assert (short / "config.json").stat().st_mtime_ns == named
    with pytest.raises(UserError, match="steps: expected 20, found 12"):
        train(constant, short, resume=True)


@pytest.mark.parametrize("parts", [2, 4])
def test_clips_one_after_the_other_give_the_same_step(run: Path, tmp_path: Path, parts: int) -> None:
    train(replace(CONFIG, accumulate=parts), tmp_path / "run")
    left, right = weights(run), weights(tmp_path / "run")
    for name in left:
        torch.testing.assert_close(left[name], right[name], rtol=1e-4, atol=1e-5, msg=name)


def test_a_compiled_model_has_the_same_weights(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What compiles is PyTorch's: here it gets the model, and the run goes on with what it gives back."""
    compiled: list[torch.nn.Module] = []
    monkeypatch.setattr(torch, "compile", lambda model, **_: compiled.append(model) or model)
    train(replace(CONFIG, compile=True), tmp_path / "run")
    assert len(compiled) == 1
    assert_same_run(run, tmp_path / "run")


def test_a_seed_decides_the_run(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    train(replace(CONFIG, seed=1), other)
    left, right = weights(run), weights(other)
    assert not any(torch.equal(left[name], right[name]) for name in left)


SCRIPT = """
import os, signal, sys, warnings
from dataclasses import replace
from pathlib import Path
warnings.simplefilter("error")
import torch
torch.set_num_threads(1)
from repose.synthetic.procedural import ProceduralConfig
from repose.synthetic.motions import SyntheticConfig
from repose.losses import LossWeights
from repose.models import find_spec, register
from repose.training.loop import train
from repose.training.train_config import TrainConfig

register(replace(
    find_spec("frameformer").with_config(width=32, depth=1, heads=2),
    name="small-frameformer", window_frames=12,
))
{extra}
if __name__ == "__main__":
    train({config}, Path(sys.argv[1]))
"""

DIE_IN_THE_SECOND_SAVE = """
put, states = os.replace, []

def die(source, destination):
    if Path(destination).name == "state.pt":
        states.append(source)
        if len(states) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
    put(source, destination)

os.replace = die
"""


def write_program(config: TrainConfig, folder: Path, extra: str = "") -> Path:
    """The same training as a program of its own, warnings being errors."""
    simple = {
        name: value
        for name, value in vars(config).items()
        if name not in ("data", "losses") and value != getattr(TrainConfig(), name)
    }
    data = f"SyntheticConfig(procedural={config.data.procedural!r})"
    spelt = f"TrainConfig(data={data}, losses={config.losses!r}, **{simple!r})"
    script = folder.with_suffix(".py")
    script.write_text(SCRIPT.format(config=spelt, extra=extra))
    return script


def run_program(config: TrainConfig, folder: Path, extra: str = "") -> tuple[int, str]:
    """Run it: exit code and standard error."""
    script = write_program(config, folder, extra)
    done = subprocess.run(
        [sys.executable, str(script), str(folder)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stderr


def test_kill_9_in_the_middle_of_a_save_costs_nothing(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    code, errors = run_program(CONFIG, folder, extra=DIE_IN_THE_SECOND_SAVE)
    assert code == -signal.SIGKILL, errors
    assert torch.load(folder / "state.pt", weights_only=True)["step"] == 5
    train(CONFIG, folder, resume=True)
    assert_same_run(run, folder)


def test_two_devices_compute_what_one_computes(tmp_path: Path, run: Path) -> None:
    folder = tmp_path / "two"
    code, errors = run_program(replace(CONFIG, devices=2), folder)
    assert code == 0, errors
    left, right = weights(run), weights(folder)
    for name in left:
        torch.testing.assert_close(left[name], right[name], rtol=1e-4, atol=1e-5, msg=name)
    for ours, theirs in zip(
        (run / "validation.jsonl").read_text().splitlines(),
        (folder / "validation.jsonl").read_text().splitlines(),
        strict=True,
    ):
        assert json.loads(ours) == pytest.approx(json.loads(theirs), rel=1e-3)
    # A run of two processes continues in one.
    train(CONFIG, folder, resume=True)


@pytest.mark.parametrize("launcher", ["torchrun", "SLURM"])
def test_a_launcher_s_processes_compute_what_one_computes(tmp_path: Path, run: Path, launcher: str) -> None:
    """As docs/distributed.md starts them; of SLURM, what `srun` tells its processes."""
    folder = tmp_path / "two"
    script = write_program(replace(CONFIG, devices=2), folder)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    commands = [[sys.executable, str(script), str(folder)]] * 2
    if launcher == "torchrun":
        several = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(port)]
        commands = [[sys.executable, *several, str(script), str(folder)]]
        environments = [environment]
    else:
        job = {"JOB_ID": 7, "JOB_NAME": "train", "NTASKS": 2, "NTASKS_PER_NODE": 2, "NNODES": 1, "NODEID": 0}
        job |= {"NODELIST": "localhost", "JOB_NODELIST": "localhost"}
        named = {f"SLURM_{name}": str(value) for name, value in job.items()}
        environments = [
            {**environment, **named, "SLURM_PROCID": rank, "SLURM_LOCALID": rank} for rank in ("0", "1")
        ]
    processes = [
        subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for command, env in zip(commands, environments, strict=False)
    ]
    said = [process.communicate(timeout=180)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), said
    left, right = weights(run), weights(folder)
    for name in left:
        torch.testing.assert_close(left[name], right[name], rtol=1e-4, atol=1e-5, msg=name)
    for ours, theirs in zip(read_scores(run), read_scores(folder), strict=True):
        assert ours.values == pytest.approx(theirs.values, rel=1e-3)


def test_a_folder_with_a_run_is_not_overwritten(run: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in run.iterdir()}
    with pytest.raises(UserError, match="holds a run already") as refusal:
        train(replace(CONFIG, devices=2), run)  # said once, before a second process is started
    assert "--resume" in refusal.value.hint
    assert before == {path.name: path.stat().st_mtime_ns for path in run.iterdir()}


def test_another_configuration_does_not_resume_a_run(run: Path) -> None:
    camera = replace(CONFIG.data.camera, roll_sigma_deg=3.0)
    config = replace(CONFIG, data=replace(CONFIG.data, camera=camera))
    with pytest.raises(
        UserError, match=r"another configuration: data\.camera\.roll_sigma_deg: expected 9\.0, found 3\.0"
    ):
        train(config, run, resume=True)


def test_there_must_be_a_run_to_resume(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no run to resume"):
        train(CONFIG, tmp_path / "mistyped", resume=True)
    assert not (tmp_path / "mistyped").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "nothing"}, "no model is called 'nothing'"),
        ({"model": "motionbert"}, "input: expected camera rays, found crop-scaled"),
        ({"accelerator": "cuda"}, r"1 device\(s\) of kind cuda: not available"),
        ({"data": replace(CONFIG.data, mocap=Path("nowhere"))}, "nowhere"),
    ],
)
def test_what_cannot_be_trained_is_said_before_anything_is_written(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    if change.get("accelerator") == "cuda" and torch.cuda.is_available():
        pytest.skip("needs a machine without a GPU; this one has one")
    with pytest.raises(UserError, match=message):
        train(replace(CONFIG, **change), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps: expected 1 to 1,000,000,000, found 0"),
        ({"save_every": 0}, "save_every: expected 1 to 1,000,000,000, found 0"),
        ({"accumulate": 3}, "accumulate: expected a divisor of a device's 4 clips, found 3"),
        ({"batch": 5, "devices": 2}, "batch: expected a multiple of the 2 devices, found 5"),
    ],
)
def test_a_configuration_is_checked(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        replace(CONFIG, **change)


def test_the_folder_must_be_writable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written: Not a directory"):
        train(CONFIG, tmp_path / "file" / "run")


def test_without_lightning_fabric_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    with pytest.raises(UserError, match="training needs lightning_fabric") as missing:
        train(CONFIG, tmp_path / "run")
    assert "pip install lightning-fabric tensorboard" in missing.value.hint


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"

    def spoil(batch: Batch) -> Batch:
        target = batch.target.clone()
        target[1, 0, 3] = float("nan")
        return Batch(batch.keypoints, target)

    disturb(monkeypatch, 6, spoil)
    with pytest.raises(UserError, match="step 6: expected a finite loss") as stopped:
        train(CONFIG, folder)
    kept = torch.load(folder / "bad-batch-step6-rank0.pt", weights_only=True)
    assert kept["target"][1, 0, 3].isnan().all()
    assert "bad-batch-step6-rank0.pt" in stopped.value.hint
    state = torch.load(folder / "state.pt", weights_only=True)
    assert state["step"] == 5
    assert all(tensor.isfinite().all() for tensor in state["model"].values())


def test_a_full_disk_leaves_the_state_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, saved, save = tmp_path / "run", [], torch.save

    def save_once(state: dict[str, Any], path: Path) -> None:
        saved.append(state["step"])
        save(state, path)
        if len(saved) > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(torch, "save", save_once)
    with pytest.raises(UserError, match=r"state\.pt: cannot be written") as full:
        train(CONFIG, folder)
    assert "--resume" in full.value.hint
    assert torch.load(folder / "state.pt", weights_only=True)["step"] == 5
    assert not list(folder.glob("*partial*"))


def test_motion_capture_trains_and_its_place_stays_private(tmp_path: Path) -> None:
    mocap = tmp_path / "at home" / "capture"
    mocap.mkdir(parents=True)
    for number, joints in enumerate(make_motion(CONFIG.data.procedural, seed=5)):
        np.savez(mocap / f"{number}.npz", joints_m=joints, fps=60.0)
    data = replace(CONFIG.data, mocap=mocap)
    train(replace(CONFIG, data=data, steps=1), tmp_path / "run")
    model = load_checkpoint(tmp_path / "run" / "model.safetensors")
    assert model.spec.training["config"]["data"]["mocap"] == "capture"
    assert b"at home" not in (tmp_path / "run" / "model.safetensors").read_bytes()


def test_the_rate_rises_linearly_and_falls_along_a_cosine() -> None:
    shares = [schedule(step, 10, 110) for step in range(110)]
    assert shares[0] == pytest.approx(0.1)
    assert max(shares) == shares[10] == pytest.approx(1.0)
    assert shares[60] == pytest.approx(0.5)
    assert 0 < shares[-1] < 0.001
    assert all(a > b for a, b in pairwise(shares[10:]))
    assert schedule(0, 0, 5) == pytest.approx(1.0)


def test_the_trapezoid_rises_stays_and_falls() -> None:
    config = TrainConfig(schedule="trapezoid", learning_rate=2.0, warmup_steps=10, cooldown=0.4)
    rates = [learning_rate(config, step, 100, step) for step in range(100)]
    assert rates[0] == pytest.approx(0.2)
    assert all(rate == pytest.approx(2.0) for rate in rates[9:61])
    assert all(before > after for before, after in pairwise(rates[60:]))
    assert rates[-1] == pytest.approx(2.0 / 40)


def test_training_starts_from_packaged_weights() -> None:
    model = make_model(TrainConfig(initial=Path("default")))
    packaged = load_checkpoint(packaged_weights()["default"])
    for name, tensor in packaged.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], tensor.to(torch.float32))
