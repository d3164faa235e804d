"""Protocols on small stores, what the report says and writes, and bad input."""

import csv
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from repose.cli import main
from repose.datasets.splits import Split
from repose.datasets.store import ClipStore
from repose.datasets.store_writer import Recording, StoreInfo, write_store
from repose.errors import UserError
from repose.evaluation import evaluate, open_model
from repose.models import ModelSpec, PoseModel, build, find_spec, save_checkpoint

FRAMES = 9


class Flat(PoseModel):
    """Says that everybody is flat: x and y as they come in, no depth."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.spec = ModelSpec("flat", "flat", {}, "h36m-17", 50.0, FRAMES, "crop-scaled")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.weight * torch.cat([x[..., :2], torch.zeros_like(x[..., :1])], dim=-1)


@pytest.fixture(scope="module")
def small_model():
    torch.manual_seed(1)
    spec = find_spec("motionagformer-xs").with_config(frames=FRAMES, width=16, layers=1, heads=2)
    return replace(spec, normalisation="screen"), build(spec)


@pytest.fixture
def checkpoint(small_model, tmp_path) -> Path:
    spec, model = small_model
    path = tmp_path / "small.safetensors"
    save_checkpoint(path, model, spec)
    return path


def points_of(split: Split) -> np.ndarray:
    return np.concatenate([split.keypoints_px(sequence)[..., :2] for sequence in split.sequences])


def test_pictures_are_seen_by_their_own_width(tiny_store):
    report = evaluate(tiny_store, Flat(), "published")
    predictions = report.predictions
    points = points_of(tiny_store.split("validation"))[predictions.rows]
    assert predictions.predicted_mm[..., :2] == pytest.approx(points - points[:, :1], abs=0.01)
    assert (predictions.predicted_mm[..., 2] == 0).all()
    assert list(predictions.rows) == [*range(36), *range(40, 67)]
    assert "fills no window is left out: 8 frames" in report.summary()


def test_root_relative_models_have_no_root(tiny_store):
    model = Flat()
    model.spec = replace(model.spec, root_relative=True)
    predictions = evaluate(tiny_store, model, "published").predictions
    points = points_of(tiny_store.split("validation"))[predictions.rows]
    half = np.where(predictions.rows < 40, 1000, 640)[:, None, None] / 2
    middle = np.where(predictions.rows < 40, 400, 240)
    assert predictions.predicted_mm[:, 1:, 0] == pytest.approx(points[:, 1:, 0] - half[:, 0], abs=0.01)
    assert predictions.predicted_mm[:, 1:, 1] == pytest.approx(points[:, 1:, 1] - middle[:, None], abs=0.01)
    assert (predictions.predicted_mm[:, 0] == 0).all()


def test_a_video_shorter_than_a_window_is_stretched(tiny_store):
    model = Flat()
    model.spec = replace(model.spec, window_frames=36)
    report = evaluate(tiny_store, model, "published")
    assert list(report.predictions.rows) == [*range(36), *range(40, 71)]
    assert "at random): 1" in report.summary()
    points = points_of(tiny_store.split("validation"))[report.predictions.rows]
    assert report.predictions.predicted_mm[..., :2] == pytest.approx(points - points[:, :1], abs=0.01)


def test_full_scores_every_frame(tiny_store):
    report = evaluate(tiny_store, Flat(), "full")
    split = tiny_store.split("validation")
    assert report.scores.frames == len(split) == len(report.predictions.rows)
    assert "videos of 25 Hz are brought to the model's 50 Hz and back" in report.summary()
    points = points_of(split)
    assert report.predictions.predicted_mm[..., :2] == pytest.approx(points - points[:, :1], abs=0.01)
    truth = split.arrays["target"]
    assert report.predictions.truth_mm == pytest.approx(1000 * (truth - truth[:, :1]), abs=0.01)


def test_full_fills_missing_joints(tiny_store, tmp_path):
    split = tiny_store.split("validation")
    walking = split.sequences[0]
    keypoints = split.keypoints_px(walking)
    whole = keypoints.copy()
    keypoints[10:13, 5] = 0.0  # as a detector that loses a joint reports it
    recording = Recording(
        "a", "S1", "Walking", "0", walking.image_size, 50.0, keypoints, split.arrays["target"][:40]
    )
    store = write_store(tmp_path / "gaps", StoreInfo("mocap", "h36m-17", "camera", ""), {"test": [recording]})
    predicted = evaluate(store, Flat(), "full").predictions.predicted_mm
    wanted = whole[9, 5, :2] + (whole[13, 5, :2] - whole[9, 5, :2]) / 4 - whole[10, 0, :2]
    assert predicted[10, 5, :2] == pytest.approx(wanted, abs=0.01)


def test_invalid_frames_are_predicted_but_not_scored(mpi_inf_3dhp):
    model = Flat()
    model.spec = replace(model.spec, skeleton="mpi-17", frame_rate_hz=25.0)
    report = evaluate(mpi_inf_3dhp, model, "full")
    split = mpi_inf_3dhp.split("test")
    assert len(report.predictions.rows) == len(split) > report.scores.frames == split.arrays["valid"].sum()
    assert "frames without a valid truth are not scored" in report.summary()
    assert list(report.scores.metrics["mpjpe_mm"].per_action) == ["TS1", "TS3", "TS5", "TS6"]


def test_our_own_model_sees_by_an_assumed_field_of_view(human36m):
    report = evaluate(human36m, open_model("default", human36m, device="cpu"), frame_pairs=False)
    assert report.protocol == "full"
    assert "field of view 65 degrees (assumed)" in report.summary()
    assert report.scores.frames == len(human36m.split("test"))
    given = evaluate(human36m, open_model("default", human36m, device="cpu"), fov_deg=40.0, frame_pairs=False)
    assert "field of view 40 degrees (given)" in given.summary()
    assert given["mpjpe_mm"] != report["mpjpe_mm"]
    # The truth is in the space of the picture, and the 2D detections are near it in x and y.
    across = np.abs(report.predictions.predicted_mm - report.predictions.truth_mm)[..., :2].mean()
    assert across < 100


def test_a_model_in_training_trains_on(tiny_store, small_model):
    _spec, model = small_model
    model.train()
    before = model.spec
    report = evaluate(tiny_store, model, "published", split="validation")
    assert np.isfinite(report["mpjpe_mm"])
    assert model.training
    assert model.spec == before


def test_files(tiny_store, checkpoint, tmp_path, capsys):
    files = {kind: tmp_path / f"out.{kind}" for kind in ("json", "csv", "latex", "figure", "predictions")}
    pytest.importorskip("matplotlib")
    options = [word for kind, path in files.items() for word in (f"--{kind}", str(path))]
    main(["evaluate", str(tiny_store.path), "--model", str(checkpoint), *options])
    shown = capsys.readouterr().out
    assert shown.index("windows of 9 frames without overlap") < shown.index("mpjpe_mm")
    content = json.loads(files["json"].read_text())
    assert content["protocol"] == "published"
    assert content["mpjpe_mm"]["mean"] > 0
    assert list(content["mpjpe_mm"]["per_action"]) == ["Sitting", "Walking"]
    assert len(content["p_mpjpe_mm"]["per_joint"]) == 17
    assert any("windows of 9 frames" in words for words in content["protocol_in_words"])
    rows = list(csv.DictReader(files["csv"].read_text().splitlines()))
    mean = next(row for row in rows if (row["metric"], row["over"]) == ("mpjpe_mm", "mean"))
    assert float(mean["value"]) == content["mpjpe_mm"]["mean"]
    assert f"& {content['mpjpe_mm']['mean']:.1f} \\\\" in files["latex"].read_text()
    assert files["figure"].read_bytes().startswith(b"\x89PNG")
    with np.load(files["predictions"]) as arrays:
        error = np.linalg.norm(arrays["predicted_mm"] - arrays["truth_mm"], axis=-1).mean(axis=-1)
        assert error[arrays["rows"] < 40].mean() == pytest.approx(
            content["mpjpe_mm"]["per_action"]["Walking"]
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [checkpoint.name, *(path.name for path in files.values())]
    )


def run(*words: object, capsys: pytest.CaptureFixture) -> str:
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", *map(str, words)])
    assert stop.value.code == 2
    return " ".join(capsys.readouterr().err.split())


def test_bad_input_has_words(tiny_store, mpi_inf_3dhp, human36m, checkpoint, published, tmp_path, capsys):
    store = tiny_store.path
    file = published("motionagformer-xs")
    said = run(store, "--model", file, "--architecture", "repose", capsys=capsys)
    assert "expected the tensors of 'repose', found those of 'motionagformer-xs'" in said
    said = run(mpi_inf_3dhp.path, "--model", checkpoint, capsys=capsys)
    assert "skeleton: expected that of the store, mpi-17, found h36m-17" in said
    said = run(store, "--model", checkpoint, "--split", "test", capsys=capsys)
    assert "split: expected one of validation, found test" in said
    said = run(human36m.path, "--model", checkpoint, "--split", "train", capsys=capsys)
    assert "expected the truth in millimetres" in said
    said = run(store, "--model", "default", "--protocol", "published", capsys=capsys)
    assert "Score it with --protocol full" in said
    said = run(store, "--model", "nothing", capsys=capsys)
    assert "expected a checkpoint file or one of default" in said
    said = run(tmp_path, "--model", checkpoint, capsys=capsys)
    assert "expected a store" in said
    said = run(store, "--model", checkpoint, "--json", tmp_path / "none" / "a.json", capsys=capsys)
    assert "expected a folder to write to" in said
    said = run(store, "--model", checkpoint, "--csv", tmp_path, capsys=capsys)
    assert "expected the name of a file to write, found a folder" in said


def test_nothing_half_written(tiny_store, tmp_path, monkeypatch):
    report = evaluate(tiny_store, Flat(), "published", frame_pairs=False)
    path = tmp_path / "a.npz"
    path.write_bytes(b"older")

    def fill_the_disk(file, **_):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", fill_the_disk)
    with pytest.raises(UserError, match="No space left on device"):
        report.write_predictions(path)
    assert path.read_bytes() == b"older"
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


def test_plots_ask_for_matplotlib(tiny_store, tmp_path, monkeypatch):
    report = evaluate(tiny_store, Flat(), "published", frame_pairs=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UserError, match="matplotlib"):
        report.write_figure(tmp_path / "a.png")


def test_a_published_file_takes_the_stores_skeleton_and_rate(mpi_inf_3dhp, human36m, published):
    for store, skeleton, rate in ((mpi_inf_3dhp, "mpi-17", 25.0), (human36m, "h36m-17", 50.0)):
        assert isinstance(store, ClipStore)
        spec = open_model(published("motionagformer-xs"), store, device="cpu").spec
        assert (spec.skeleton, spec.frame_rate_hz, spec.root_relative) == (skeleton, rate, True)
    path = published("motionagformer-xs")
    assert not open_model(path, human36m, root_relative=False, device="cpu").spec.root_relative
