"""What conditions do to 2D joints, and that they do the same to everybody."""

import pytest
import torch

from repose.evaluation.conditions import CONDITIONS, MARGIN_FRAMES, Condition, PartHidden, misplacement
from repose.evaluation.views import View
from repose.skeleton import H36M_17
from repose.synthetic.occlusion import self_occluded

BY_LABEL = {condition.label: condition for condition in CONDITIONS}


def test_every_condition_of_the_benchmark_is_there() -> None:
    names = [condition.name for condition in CONDITIONS]
    assert len(BY_LABEL) == len(CONDITIONS)
    assert [name for name in names if name.startswith("noise")] == [
        "noise 0.5 %", "noise 1 %", "noise 2 %", "noise 3 %", "noise 5 %",
    ]  # fmt: skip
    both = (
        "5 % of joints lost", "10 % of joints lost", "20 % of joints lost", "40 % of joints lost",
        "a limb lost", "legs lost", "half lost", "legs lost 40 frames",
        "own body", "wall", "counter", "pole", "passers-by",
    )  # fmt: skip
    for name in both:
        assert names.count(name) == 2
    for name in ("clean", "detector", "5 frames lost", "15 frames lost", "30 frames lost", "60 frames lost"):
        assert names.count(name) == 1


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda condition: condition.label)
def test_the_seed_alone_decides(condition: Condition, views: list[list[View]]) -> None:
    view = views[0][0]
    seen = condition.observe(view, 0)
    again = condition.observe(view, 0)
    assert (seen is None) == (again is None)
    if seen is not None and again is not None:
        assert torch.equal(seen.keypoints, again.keypoints)
        assert torch.equal(seen.hidden, again.hidden)
        assert seen.keypoints.isfinite().all()


@pytest.mark.parametrize(
    "condition", [c for c in CONDITIONS if c.occlusion is not None], ids=lambda condition: condition.label
)
def test_hidden_joints_are_missing_or_wrong_and_the_others_exact(
    condition: Condition, views: list[list[View]]
) -> None:
    view = views[1][0]
    seen = condition.observe(view, 0)
    if seen is None:
        pytest.skip("hides nothing of this clip")
    hidden, confidence = seen.hidden, seen.keypoints[..., 2]
    assert torch.equal(seen.keypoints[..., :2][~hidden], view.rays[~hidden])
    assert (confidence[~hidden] == 1).all()
    if condition.aware:
        assert (confidence[hidden] == 0).all()
        aware = hidden
    else:
        assert (confidence == 1).all()
        off = (seen.keypoints[..., :2] - view.rays)[hidden].norm(dim=-1) / view.apparent_height
        assert 0.03 < off.median() < 0.2
        aware = BY_LABEL[condition.name].observe(view, 0).hidden  # type: ignore[union-attr]
    assert torch.equal(hidden, aware)


def test_noise_is_a_share_of_the_height_in_the_picture(views: list[list[View]]) -> None:
    view = views[0][0]
    seen = BY_LABEL["noise 3 %"].observe(view, 0)
    assert seen is not None
    error = (seen.keypoints[..., :2] - view.rays) / view.apparent_height
    assert error.std() == pytest.approx(0.03, rel=0.05)
    height = view.rays[..., 1].amax(dim=1) - view.rays[..., 1].amin(dim=1)
    assert height.max() == pytest.approx(view.apparent_height, rel=0.35)
    assert not seen.hidden.any()


@pytest.mark.parametrize("frames", [5, 15, 40])
def test_runs_have_their_length_and_are_seen_before_and_after(frames: int, views: list[list[View]]) -> None:
    view = views[0][0]
    hidden = PartHidden(("legs",), frames)(view, torch.Generator().manual_seed(0))
    assert hidden is not None
    legs = H36M_17.indices("left_knee", "left_ankle", "right_knee", "right_ankle")
    assert set(hidden.any(dim=0).nonzero()[:, 0].tolist()) == set(legs)
    rows = hidden.any(dim=1).nonzero()[:, 0]
    assert len(rows) == frames == rows[-1] - rows[0] + 1
    assert rows[0] >= MARGIN_FRAMES
    assert rows[-1] < len(view) - MARGIN_FRAMES


def test_long_clips_have_a_run_in_each_stretch(views: list[list[View]]) -> None:
    short = views[0][0]
    repeated = short.joints_m.repeat(4, 1, 1)
    long = View(0, "long", 0, repeated, repeated[..., :2], short.focal_px)
    hidden = PartHidden(("body",), 40)(long, torch.Generator().manual_seed(0))
    assert hidden is not None
    starts = (hidden[1:, 0] & ~hidden[:-1, 0]).sum()
    assert starts == len(long) // 120 == 5
    assert hidden[:, 0].sum() == 5 * 40


def test_clips_too_short_for_a_run_sit_out(views: list[list[View]]) -> None:
    short = views[3][0]
    assert len(short) == 30
    assert BY_LABEL["legs lost 40 frames"].observe(short, 0) is None
    assert BY_LABEL["15 frames lost"].observe(short, 0) is None
    assert BY_LABEL["5 frames lost"].observe(short, 0) is not None


def test_own_body_hides_what_capsules_hide(views: list[list[View]]) -> None:
    view = views[2][1]
    seen = BY_LABEL["own body"].observe(view, 0)
    assert seen is not None
    assert torch.equal(seen.hidden, self_occluded(view.joints_m[None])[0])


def test_a_detectors_missing_joints_are_the_hidden_ones(views: list[list[View]]) -> None:
    seen = [BY_LABEL["detector"].observe(view, seed) for seed in range(5) for clip in views for view in clip]
    hidden = torch.cat([s.hidden.flatten() for s in seen if s])
    confidence = torch.cat([s.keypoints[..., 2].flatten() for s in seen if s])
    assert 0.01 < hidden.float().mean() < 0.12
    assert torch.equal(hidden, confidence == 0)


def test_a_wrong_place_stays_about_the_same_and_drifts() -> None:
    wrong = misplacement(2000, torch.Generator().manual_seed(0))
    assert wrong.mean(dim=0).std() == pytest.approx(0.06, rel=0.3)
    assert wrong.diff(dim=0).norm(dim=-1).max() < 0.05
