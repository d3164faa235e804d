"""VideoPose3D's protocol, the truth's own 2D, and models that are not told how sure the detector is."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from repose.cli import main
from repose.datasets.clips import StoreClips, StoreConfig
from repose.datasets.store import ClipStore
from repose.datasets.store_writer import Recording, StoreInfo, write_store
from repose.errors import UserError
from repose.evaluation import evaluate
from repose.models import ModelSpec, PoseModel, find_spec, load_checkpoint, register, registry
from repose.training.loop import TrainConfig, train
from repose.training.validation import StoreValidation

FRAMES = 9
LEFT_OUT = "s_09_act_05_subact_02_ca_01"


class Echo(PoseModel):
    """Says that depth is how sure the detector is, and x and y are as they come in."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.spec = ModelSpec("echo", "echo", {}, "h36m-17", 50.0, FRAMES, "screen")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.weight * x


def make(path: Path, kind: str, lengths: tuple[int, ...] = (31, 5), *, exact: bool = False) -> ClipStore:
    rng = np.random.default_rng(0)

    def recording(frames: int, name: str) -> Recording:
        keypoints = rng.uniform(100, 900, (frames, 17, 3)).astype(np.float32)
        keypoints[..., 2] = rng.uniform(0.2, 1, (frames, 17))
        target = rng.uniform(100, 900, (frames, 17, 3)).astype(np.float32)
        more = {"truth_mm": 4 * target, "factor": np.full(frames, 4.0)} if kind == "image" else {}
        if exact:
            more["exact_norm"] = np.concatenate([keypoints[..., :2] + 7, np.ones((frames, 17, 1))], axis=-1)
        return Recording(name, "S9", name[:4], "1", (1000, 1002), 50.0, keypoints, target, more)

    info = StoreInfo("human36m", "h36m-17", kind, "none")  # type: ignore[arg-type]
    names = (LEFT_OUT, "Walk 1", "Walk 2")
    test = [recording(frames, name) for frames, name in zip(lengths, names, strict=False)]
    return write_store(path, info, {"train": test, "test": test})


def test_every_frame_of_the_pair_counts_and_the_protocol_has_its_own_name(tmp_path: Path) -> None:
    store = make(tmp_path / "store", "camera")
    report = evaluate(store, Echo(), frame_pairs=False)
    assert report.protocol == "videopose3d"
    assert list(report.predictions.rows) == list(range(36))
    split = store.split("test")
    points = np.concatenate([split.keypoints_px(sequence) for sequence in split.sequences])
    found = report.predictions.predicted_mm[..., :2]
    np.testing.assert_allclose(found, points[..., :2] - points[:, :1, :2], rtol=0, atol=0.01)
    text = report.summary()
    assert "VideoPose3D's protocol (Pavllo et al. 2019)" in text
    assert "MotionBERT" not in text
    assert "left out, as published" not in text
    # Errors are averaged over the frames of an action, then over the actions.
    error = np.linalg.norm(report.predictions.predicted_mm - report.predictions.truth_mm, axis=-1)
    actions = error[:31].mean(), error[31:].mean()
    assert report["mpjpe_mm"] == pytest.approx(np.mean(actions), rel=1e-6)
    assert report.scores.metrics["mpjpe_mm"].per_action == pytest.approx(
        dict(zip(("s_09", "Walk"), actions, strict=True)), rel=1e-6
    )


def test_the_last_window_ends_with_the_video(tmp_path: Path) -> None:
    split = make(tmp_path / "store", "camera", (31, 5, 18)).split("test")
    starts = [(w.start, w.stop) for w in split.windows(FRAMES, FRAMES, tail="back")]
    assert starts == [(0, 9), (9, 18), (18, 27), (22, 31), (31, 40), (36, 45), (45, 54)]
    assert list(split.windows(FRAMES, FRAMES, tail="back")[4].rows(FRAMES)) == [31, 32, 33, 34, *[35] * 5]


def test_the_published_protocol_of_image_units_stays_what_it_is(tmp_path: Path) -> None:
    store = make(tmp_path / "store", "image")
    published = evaluate(store, Echo(), frame_pairs=False)
    assert published.protocol == "published"
    assert list(published.predictions.rows) == list(range(31, 36))  # the other one is left out
    whole = evaluate(store, Echo(), "videopose3d", frame_pairs=False)
    assert list(whole.predictions.rows) == list(range(36))


def test_gt_2d_puts_the_truth_in_the_place_of_the_detections(tmp_path: Path) -> None:
    image = make(tmp_path / "image", "image", (5, 31))
    report = evaluate(image, Echo(), gt_2d=True, frame_pairs=False)
    predicted, truth = report.predictions.predicted_mm, report.predictions.truth_mm
    # As the published program: x and y are right by definition, and the depth is the model's: 1 everywhere.
    np.testing.assert_allclose(predicted[..., :2], truth[..., :2], rtol=0, atol=1e-2)
    assert (predicted[..., 2] == 0).all()
    assert "2D is the truth's own x and y with confidence 1" in report.summary()
    assert "x and y of the prediction are those of the input" in report.summary()
    # Which joints the detector saw is a matter of the detector.
    assert report.predictions.confidence.min() < 0.5

    camera = make(tmp_path / "camera", "camera", exact=True)
    report = evaluate(camera, Echo(), gt_2d=True, frame_pairs=False)
    exact = camera.split("test").arrays["exact_norm"]
    np.testing.assert_allclose(
        report.predictions.predicted_mm[..., :2], 500 * (exact - exact[:, :1])[..., :2], rtol=0, atol=1e-2
    )
    with pytest.raises(
        UserError, match="--gt-2d: expected a store that has the truth's own x and y"
    ) as caught:
        evaluate(make(tmp_path / "bare", "camera"), Echo(), gt_2d=True)
    assert "data_2d_h36m_gt.npz" in caught.value.hint


def test_a_model_without_confidence_sees_1_everywhere(tmp_path: Path) -> None:
    store = make(tmp_path / "store", "camera")
    told, untold = Echo(), Echo()
    untold.spec = replace(untold.spec, confidence=False)
    reports = [evaluate(store, model, frame_pairs=False) for model in (told, untold)]
    assert abs(reports[0].predictions.predicted_mm[..., 2]).max() > 100
    assert (reports[1].predictions.predicted_mm[..., 2] == 0).all()
    assert ["not told how sure" in report.summary() for report in reports] == [False, True]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(registry, "_specs", dict(registry._specs))
    spec = find_spec("repose").with_config(width=16, representation=16, depth=1, heads=2, frames=FRAMES)
    register(replace(spec, name="small"))
    return "small"


def test_training_without_confidence_is_written_into_the_checkpoint(tmp_path: Path, small: str) -> None:
    store = make(tmp_path / "store", "camera")
    data = StoreConfig(store=store.path, no_conf=True, mask_joints=0.5)
    batch = StoreClips(data, find_spec(small), seed=0, batch=4)[0]
    assert (batch.keypoints[..., 2] == 1).all()
    assert (batch.keypoints[..., :2] == 0).all(-1).float().mean() > 0.3
    config = TrainConfig(model=small, data=data, steps=1, batch=4, accelerator="cpu", workers=0)
    model = load_checkpoint(train(config, tmp_path / "run"))
    assert not model.spec.confidence


def test_validation_on_the_truth_s_own_2d(tmp_path: Path, small: str) -> None:
    store = make(tmp_path / "store", "image")
    scores = {}
    for gt_2d in (False, True):
        data = StoreClips(
            StoreConfig(store=store.path, gt_2d=gt_2d, flip=False), find_spec(small), seed=0, batch=4
        )
        if gt_2d:
            batch = data[0]
            assert (batch.keypoints[..., 2] == 1).all()
            np.testing.assert_allclose(batch.keypoints[..., :2], batch.target[..., :2])
        scores[gt_2d] = StoreValidation(data).score(Echo(), torch.device("cpu"))["mpjpe_mm"]
        assert scores[gt_2d] == pytest.approx(evaluate(store, Echo(), gt_2d=gt_2d)["mpjpe_mm"])
    assert scores[True] < 0.8 * scores[False]


def test_the_command(tmp_path: Path, small: str) -> None:
    store = make(tmp_path / "store", "image", exact=True)
    config = TrainConfig(
        model=small, data=StoreConfig(store=store.path), steps=1, batch=4, accelerator="cpu", workers=0
    )
    path = train(config, tmp_path / "run")
    options = ["--protocol", "videopose3d", "--gt-2d", "--no-conf", "--json", str(tmp_path / "r.json")]
    main(["evaluate", str(store.path), "--model", str(path), *options])
    content = json.loads((tmp_path / "r.json").read_text())
    assert content["protocol"] == "videopose3d"
    assert content["frames"] == 36
