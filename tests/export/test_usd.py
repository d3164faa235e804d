"""USD files, as UsdSkel understands them."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from pxr import Usd, UsdGeom, UsdSkel

from repose.errors import UserError
from repose.export.rig import fit_rig
from repose.export.upright import to_world, y_up
from repose.export.usd import write_usd
from repose.pose import Pose3D
from repose.skeleton import H36M_17


@pytest.mark.parametrize("suffix", [".usd", ".usda"])
def test_the_skeleton_moves_as_the_person_did(halting: Pose3D, tmp_path: Path, suffix: str) -> None:
    (world,) = to_world([halting])
    path = tmp_path / f"walk{suffix}"
    write_usd([world], path)
    assert path.read_bytes()[:5] == (b"#usda" if suffix == ".usda" else b"PXR-U")
    stage = Usd.Stage.Open(str(path))
    assert UsdGeom.GetStageUpAxis(stage) == "Y"
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1.0
    assert (stage.GetTimeCodesPerSecond(), stage.GetStartTimeCode(), stage.GetEndTimeCode()) == (30, 60, 149)
    cache = UsdSkel.Cache()
    cache.Populate(UsdSkel.Root.Get(stage, "/World/person_3"), Usd.PrimDefaultPredicate)
    query = cache.GetSkelQuery(UsdSkel.Skeleton.Get(stage, "/World/person_3/skeleton"))
    places = fit_rig(y_up(world.joints_m), H36M_17, 30.0).positions_m()
    for row in (0, 19, 20, 69):
        code = Usd.TimeCode(float(world.frames[row]))
        found = [matrix.ExtractTranslation() for matrix in query.ComputeJointSkelTransforms(code)]
        np.testing.assert_allclose(found, places[row], atol=1e-5)
    visible = UsdGeom.Imageable(stage.GetPrimAtPath("/World/person_3"))
    assert [visible.ComputeVisibility(code) for code in (79, 80.5, 99, 100)] == [
        "inherited",
        "invisible",
        "invisible",
        "inherited",
    ]
    bound = UsdSkel.BindingAPI(stage.GetPrimAtPath("/World/person_3/figure"))
    assert max(bound.GetJointIndicesPrimvar().Get()) < len(query.GetJointOrder())


def test_it_says_what_was_seen_and_how_sure(halting: Pose3D, tmp_path: Path) -> None:
    (world,) = to_world([halting])
    write_usd([world], tmp_path / "walk.usd")
    stage = Usd.Stage.Open(str(tmp_path / "walk.usd"))
    motion = stage.GetPrimAtPath("/World/person_3/motion")
    assert list(motion.GetAttribute("repose:joints").Get()) == list(H36M_17.joints)
    assert list(motion.GetAttribute("repose:seen").Get(100)) == halting.seen[20].tolist()
    assert halting.deviation_m is not None
    np.testing.assert_allclose(motion.GetAttribute("repose:deviation_m").Get(100), halting.deviation_m[20])
    assert json.loads(motion.GetAttribute("repose:about").Get())["track_id"] == 3


def test_without_usd_it_says_what_to_install(
    walker: Pose3D, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pxr", None)
    with pytest.raises(UserError, match="need usd-core") as missing:
        write_usd(to_world([walker]), tmp_path / "walk.usd")
    assert missing.value.hint.startswith("pip install usd-core")


def test_a_full_disk_is_the_systems_error(walker: Pose3D, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        with pytest.raises(OSError, match="disk is full"):
            write_usd(to_world([walker]), tmp_path / "walk.usda")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
