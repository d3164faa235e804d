"""One palette: left is blue and right is orange in every drawing."""

import re
from pathlib import Path

import numpy as np
import pytest

import repose
from repose import palette
from repose.export.angles import joint_angles
from repose.export.mannequin import COLOURS
from repose.pose import Pose3D
from repose.sample import load_sample_truth
from repose.skeleton import H36M_17


def test_colours_of_sides() -> None:
    red, _, blue = palette.rgb(palette.SIDES["left"])
    assert blue > 2 * red
    red, _, blue = palette.rgb(palette.SIDES["right"])
    assert red > 2 * blue
    assert [palette.side_of(joint) for joint in ("left_knee", "right_hip", "nose")] == [
        "left",
        "right",
        "middle",
    ]
    assert palette.side_colour("nose", "#123456") == "#123456"


def test_light_of_a_material() -> None:
    assert palette.linear("#ffffff") == (1, 1, 1)
    assert palette.linear("#000000") == (0, 0, 0)
    assert palette.linear("#bc0a00")[:2] == pytest.approx((0.5029, 0.003035), rel=1e-3)


def test_colours_mix_with_paper() -> None:
    assert palette.mixed((0, 100, 255), 0.5) == (128, 178, 255)
    assert palette.mixed((0, 100, 255), 0.0, (1, 2, 3)) == (1, 2, 3)


def test_no_other_module_has_colours_of_its_own() -> None:
    """A drawing that names a colour will one day paint left as another paints right. Lamps are no drawing."""
    package = Path(repose.__file__).parent
    colour = re.compile(r"#[0-9a-f]{6}\b|#[0-9a-f]{3}\"|(?<!sky_)(?<!ground_)color=\(\d", re.IGNORECASE)
    found = {
        f"{file.relative_to(package)}:{number}"
        for file in (*package.rglob("*.py"), *package.rglob("*.js"))
        if file.name != "palette.py"
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1)
        if colour.search(line)
    }
    assert found == set()


def test_exported_meshes_have_the_colours_of_the_viewer() -> None:
    for side, colour in palette.SIDES.items():
        light = np.array(COLOURS[side])
        screen = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
        assert tuple(np.round(255 * screen).astype(int).tolist()) == palette.rgb(colour)


def test_sheets_draw_joints_in_the_colour_of_their_side() -> None:
    """The doctor's sheet and the benchmark's pictures; left joints of this body are all on the right."""
    figure = pytest.importorskip("matplotlib.figure").Figure()
    colors = pytest.importorskip("matplotlib.colors")
    from repose.datasets.gallery import draw_bones

    points = np.random.default_rng(0).uniform(0, 1, (17, 2))
    points[:, 0] += [2 if joint.startswith("left_") else 0 for joint in H36M_17.joints]
    panel = figure.subplots()
    draw_bones(panel, H36M_17, points, np.ones(17))
    on_the_right = {
        colors.to_hex(group.get_edgecolors()[0])
        for group in panel.collections
        if len(group.get_offsets()) and group.get_offsets()[:, 0].min() > 1.5
    }
    assert on_the_right == {palette.SIDES["left"]}


def test_angles_are_drawn_in_the_colour_of_their_side(tmp_path: Path) -> None:
    figure = pytest.importorskip("matplotlib.figure").Figure()
    from repose.export.angles import _draw_kind

    truth = load_sample_truth()
    pose = Pose3D(truth.joints_m, ~truth.hidden, np.arange(len(truth.joints_m)), truth.fps, truth.skeleton)
    angles = joint_angles(pose)
    panel = figure.subplots()
    _draw_kind(panel, angles, "knee_flexion")
    assert {line.get_color() for line in panel.lines} == set(palette.SIDES.values())
    for line in panel.lines:
        side = next(side for side, colour in palette.SIDES.items() if colour == line.get_color())
        there = np.isfinite(line.get_ydata())
        np.testing.assert_allclose(line.get_ydata()[there], angles[f"{side}_knee_flexion"][there])
