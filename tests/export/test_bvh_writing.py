"""Written BVH files, read by a program of others and by our own reader."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from repose.export.bvh import Unit, write_bvh
from repose.export.rig import fit_rig
from repose.export.upright import to_world, y_up
from repose.mocap.bvh import read_bvh
from repose.pose import Pose3D
from repose.skeleton import H36M_17

with warnings.catch_warnings():
    warnings.simplefilter("ignore", PendingDeprecationWarning)
    import bvhio


@pytest.mark.parametrize(("unit", "unit_m"), [("cm", 0.01), ("m", 1.0)])
def test_another_reader_finds_the_joints(walker: Pose3D, tmp_path: Path, unit: Unit, unit_m: float) -> None:
    (world,) = to_world([walker])
    write_bvh(world, tmp_path / "walk.bvh", unit)
    root = bvhio.readAsHierarchy(str(tmp_path / "walk.bvh"))
    joints = y_up(world.joints_m)
    fitted = fit_rig(joints, H36M_17, 30.0)
    for row in range(0, len(world), 20):
        root.loadPose(row)
        found = {joint.Name: np.array(joint.PositionWorld) * unit_m for joint, _, _ in root.layout()}
        for name, place in zip(fitted.names, fitted.positions_m()[row], strict=True):
            np.testing.assert_allclose(found[name], place, atol=1e-4, err_msg=name)
        near = [np.linalg.norm(found[joint] - joints[row, i]) for i, joint in enumerate(H36M_17.joints)]
        assert np.mean(near) < 0.02  # what constant bones cost


def test_our_own_reader_finds_them_too(walker: Pose3D, tmp_path: Path) -> None:
    (world,) = to_world([walker])
    write_bvh(world, tmp_path / "walk.bvh")
    motion = read_bvh(tmp_path / "walk.bvh")
    fitted = fit_rig(y_up(world.joints_m), H36M_17, 30.0)
    order = [motion.joints.index(name) for name in fitted.names]
    np.testing.assert_allclose(motion.positions_m[:, order], fitted.positions_m(), atol=1e-5)
    assert motion.fps == 30.0
    # Feet, hands and crown have a short bone, so that there is something to see.
    tips = [motion.joints.index(f"{name}_end") for name in ("left_ankle", "right_wrist", "head_top")]
    np.testing.assert_allclose(np.linalg.norm(motion.offsets_m[tips], axis=-1), 0.1)


def test_angles_do_not_jump(walker: Pose3D, tmp_path: Path) -> None:
    (world,) = to_world([walker])
    write_bvh(world, tmp_path / "walk.bvh")
    lines = (tmp_path / "walk.bvh").read_text().split("Frame Time:")[1].splitlines()[1:]
    angles = np.array([line.split() for line in lines], dtype=float)[:, 3:]
    assert np.abs(np.diff(angles, axis=0)).max() < 90


def test_missing_frames_are_passed_through(halting: Pose3D, tmp_path: Path) -> None:
    (world,) = to_world([halting])
    write_bvh(world, tmp_path / "walk.bvh")
    motion = read_bvh(tmp_path / "walk.bvh")
    assert len(motion.positions_m) == 90
    before, middle, after = y_up(world.joints_m[[19, 19, 20], 0])
    path = motion.positions_m[19:41, 0]
    np.testing.assert_allclose(path, np.linspace(before, after, 22), atol=1e-4)
    assert middle.shape == (3,)
