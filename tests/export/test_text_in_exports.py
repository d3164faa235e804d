"""Text of a result is data in every file for other programs: it neither breaks nor runs there."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from commands import run

import repose
from repose.errors import printable
from repose.mocap.bvh import read_bvh
from repose.mocap.trc import read_trc
from repose.pose import Pose3D
from repose.skeleton import Skeleton

PAYLOADS = {
    "formula": '=HYPERLINK("http://127.0.0.1:9/","x")\t+1\n@SUM(1)',
    "markup": "</a><script>x</script><!ENTITY e SYSTEM 'file:///etc/passwd'>&e;]]>",
    "braces": "} MOTION {0.__class__} %s $x_{ \\",
    "terminal": "[/][link=http://127.0.0.1:9]x \x1b[2J\x1b]0;t\x07 \u202e",
    "usd": '""" } def Scope "x" (references = @/etc/passwd@) { \'\'\'',
}


def hostile(pose: Pose3D, text: str) -> Pose3D:
    """A pose that says the text wherever a result says anything."""
    record = {
        "assumed": [text],
        "source": text,
        "detector": text,
        "identities": text,
        "world": text,
        "repose": text,
        "swaps_undone": {text: [(1, 2)]},
        "refined": {text: [text]},
        text: text,
    }
    named = replace(pose.skeleton, name=text)
    return replace(pose, skeleton=named, model=text, scale=text, record=record)


@pytest.mark.parametrize("kind", PAYLOADS)
def test_files_for_other_programs_hold_it_as_data(kind: str, walker: Pose3D, tmp_path: Path) -> None:
    text, out = PAYLOADS[kind], tmp_path / "out"
    repose.write_poses([hostile(walker, text)], tmp_path / "result")
    poses = repose.read_poses(tmp_path / "result")
    assert (poses[0].model, poses[0].scale, poses[0].skeleton.name) == (text, text, text)
    for suffix in (".bvh", ".trc", ".csv", ".json", ".glb", ".usda", ".c3d", ".parquet"):
        repose.export_poses(poses, out / f"walk{suffix}")
    assert read_bvh(out / "walk.bvh").joints[0] == "pelvis"
    assert len(read_trc(out / "walk.trc").markers) == 17
    for table in (out / "walk.csv", tmp_path / "result" / "poses.csv"):
        with table.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
        assert {len(row) for row in rows} == {len(rows[0])}
        # What a spreadsheet takes for a formula; negative numbers are none.
        assert not [cell for row in rows for cell in row if cell[:1] in "=+@\t\r" and cell]
        assert json.loads(rows[1][-1])["model"] == text
    assert json.loads((out / "walk.json").read_text(encoding="utf-8"))["tracks"][0]["scale"] == text
    from pxr import Usd

    stage = Usd.Stage.Open(str(out / "walk.usda"))
    motion = stage.GetPrimAtPath("/World/person_3/motion")
    assert json.loads(motion.GetAttribute("repose:about").Get())["model"] == text
    assert [prim.GetName() for prim in stage.GetPseudoRoot().GetChildren()] == ["World"]


@pytest.mark.parametrize("kind", PAYLOADS)
def test_the_name_of_an_opensim_model_is_text(kind: str, walker: Pose3D, tmp_path: Path) -> None:
    repose.export_opensim([walker], tmp_path / "out", model=PAYLOADS[kind])
    found = ElementTree.parse(tmp_path / "out" / "person_3_scale.xml").findtext(".//model_file")
    assert found is not None
    assert found.split() == printable(PAYLOADS[kind]).split()


@pytest.mark.parametrize("kind", PAYLOADS)
@pytest.mark.parametrize("command", ["export {r} {o}.glb", "refine {r} -o {o}", "angles {r} -o {o}"])
def test_the_terminal_shows_it_as_text(
    command: str, kind: str, walker: Pose3D, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repose.write_poses([hostile(walker, PAYLOADS[kind])], tmp_path / "result")
    words = [word.format(r=tmp_path / "result", o=tmp_path / "out") for word in command.split()]
    assert run(*words) == 0
    said = "".join(capsys.readouterr())
    assert "\x1b[2J" not in said
    assert "\x1b]" not in said
    assert "\u202e" not in said


@pytest.mark.parametrize(
    "joint",
    ["=cmd|' /C calc'!A0", "left\tknee", "a\n1\t2", "<b>", "hand}", "\u202ehand", "-1", "", "x" * 200],
)
def test_names_of_joints_are_names(joint: str, walker: Pose3D, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a joint's name must be letters"):
        Skeleton("odd", ("pelvis", joint), (-1, 0))
    repose.write_poses([walker], tmp_path / "result")
    with np.load(tmp_path / "result" / "poses.npz") as file:
        arrays = dict(file)
    about = json.loads(str(arrays["about"][0]))
    about["joints"][10] = joint
    about["parents"] = [joint if name == "head_top" else name for name in about["parents"]]
    np.savez(tmp_path / "other.npz", **arrays | {"about": np.array([json.dumps(about)])})
    with pytest.raises(repose.UserError, match="a joint's name must be letters"):
        repose.read_poses(tmp_path / "other.npz")
