"""Motion from anywhere at one rate, and cameras that the seed places."""

from pathlib import Path

import numpy as np
import pytest
import torch

from repose.datasets.prepare import prepare_mocap
from repose.datasets.projected import ProjectionConfig
from repose.errors import UserError
from repose.evaluation.views import CAMERAS, FPS, SIDE_PX, View, choose, project_clips, read_motion
from repose.skeleton import H36M_17, stature


def test_motion_comes_at_one_rate_in_the_order_of_names(motion: Path) -> None:
    clips = read_motion([motion])
    assert [clip.name for clip in clips] == [f"clip_{number}" for number in range(4)]
    assert [len(clip) for clip in clips] == [150, 150, 150, 30]
    assert {clip.fps for clip in clips} == {FPS}


def test_without_motion_there_is_procedural_motion(monkeypatch: pytest.MonkeyPatch) -> None:
    from repose.evaluation import views
    from repose.synthetic.procedural import ProceduralConfig

    monkeypatch.setattr(views, "_PROCEDURAL", ProceduralConfig(clips=2, seconds=1.0, fps=FPS))
    first, second = read_motion([])
    assert len(first) == len(second) == 30
    assert not np.array_equal(first.joints_m, second.joints_m)


def test_a_store_is_motion_too(motion: Path, tmp_path: Path) -> None:
    folder = tmp_path / "more"
    folder.mkdir()
    for number in range(2):
        (folder / f"clip_{number}.npz").write_bytes((motion / f"clip_{number}.npz").read_bytes())
    store = prepare_mocap(folder, tmp_path / "store", ProjectionConfig(cameras=1))
    (clip,) = read_motion([store.path])  # one of two validates
    (original,) = (c for c in read_motion([motion]) if clip.name.startswith(c.name))
    assert 0 <= len(original) - len(clip) <= 1
    # A store's world is turned, and its rate was changed before, but bodies and their motion are the same.
    reach = [
        np.linalg.norm(
            c.joints_m[: len(clip), H36M_17.index("left_wrist")] - c.joints_m[: len(clip), 0], axis=-1
        )
        for c in (clip, original)
    ]
    np.testing.assert_allclose(*reach, atol=0.01)
    assert np.ptp(reach[0]) > 0.05
    up = clip.joints_m[:, H36M_17.index("head_top"), 2] - clip.joints_m[:, H36M_17.index("left_ankle"), 2]
    assert np.median(up) > 0.8


def test_paths_without_motion_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing there"):
        read_motion([tmp_path / "no"])
    joints = np.zeros((2, 17, 3))
    joints[:, [5, 2], 2] = -0.4  # thighs
    np.savez(tmp_path / "short.npz", joints_m=joints, fps=30.0)
    with pytest.raises(UserError, match="three frames"):
        read_motion([tmp_path / "short.npz"])


def test_the_seed_alone_decides_where_cameras_stand(motion: Path) -> None:
    clips = read_motion([motion])
    rays = [
        project_clips(clips[:n], CAMERAS["ordinary"], 2, seed)[0][1].rays
        for n, seed in ((4, 0), (1, 0), (1, 1))
    ]
    torch.testing.assert_close(rays[0], rays[1])  # whatever else is filmed
    assert not torch.allclose(rays[0], rays[2])


def test_a_view_knows_what_is_up(motion: Path) -> None:
    clips = read_motion([motion])[:1]
    for view in project_clips(clips, CAMERAS["hard"], 3, 0)[0]:
        height = view.joints_m.numpy() @ view.up
        size = np.ptp(height) / np.ptp(clips[0].joints_m[..., 2])
        np.testing.assert_allclose(
            height - height.mean(),
            size * (clips[0].joints_m[..., 2] - clips[0].joints_m[..., 2].mean()),
            atol=1e-3,
        )
        assert 0.5 < size < 2


def test_rolled_cameras_show_the_same_views(motion: Path) -> None:
    clips = read_motion([motion])[:1]
    upright, sideways, upside_down = (
        project_clips(clips, CAMERAS[name], 1, 0)[0][0] for name in ("ordinary", "sideways", "upside-down")
    )
    x, y = upright.rays.unbind(-1)
    torch.testing.assert_close(sideways.rays, torch.stack([y, -x], dim=-1), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(upside_down.rays, -upright.rays, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(sideways.joints_m[..., 2], upright.joints_m[..., 2])


def test_everybody_is_as_tall_and_in_the_picture(views: list[list[View]]) -> None:
    assert [len(clip) for clip in views] == [2] * 4
    for view in (view for clip in views for view in clip):
        assert float(stature(view.joints_m).mean()) == pytest.approx(1.70, abs=1e-3)
        keypoints = torch.cat([view.rays, torch.ones_like(view.rays[..., :1])], dim=-1)
        track = view.track(keypoints)
        assert track.fps == FPS
        assert (track.points_px > 0).all()
        assert (track.points_px < SIDE_PX).all()
        # The rays are those of the camera that is told to the lifter.
        fx, _, cx, _ = view.intrinsics_px
        x = view.joints_m[..., 0] / view.joints_m[..., 2] * fx + cx
        np.testing.assert_allclose(track.points_px[..., 0], x, atol=0.01)


def test_a_choice_has_whole_clips_and_depends_on_the_seed(motion: Path) -> None:
    clips = read_motion([motion])
    chosen = {seed: [clip.name for clip in choose(clips, 200, seed)] for seed in range(4)}
    assert all(2 <= len(names) <= 3 and names == sorted(names) for names in chosen.values())
    assert len({tuple(names) for names in chosen.values()}) > 1
    assert len(choose(clips, 10**6, 0)) == len(clips)
