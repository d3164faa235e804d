"""The app's scripts against the package: the same numbers from the same track, in a browser without npm."""

import csv
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from browser import Tab, serve

from repose.export.formats import export_poses
from repose.export.results import write_csv, write_json
from repose.lifting import Lifter
from repose.models import ModelSpec, PoseModel
from repose.models.registry import find_spec
from repose.pose import Pose2D, Pose3D
from repose.sample import load_sample_truth
from repose.skeleton import SKELETONS
from repose.viewer import make_scene
from repose.viewer.app import app_constants
from repose.viewer.page import WEB

SPECS: dict[str, ModelSpec] = {
    name: replace(find_spec(name), deviation_factors={"seen": 0.9, "hidden": 1.6})
    for name in ("frameformer", "frameformer-feet")
}
TRACKS = {"even": "frameformer-feet", "slow": "frameformer", "uneven": "frameformer-feet"}
"""Kind of track, and the model that lifts it."""
NETWORK = """(clips) => clips.map((rows) => ({
  joints: rows.map((row, frame) => row.map((_, i) => {
    const joint = (i - (i % 3)) / 3, axis = i % 3, depth = 0.2 * Math.sin(joint + 0.02 * frame);
    return axis === 2 ? depth + 0.1 * row[i] : (4 + depth) * (row[i] - row[axis]);
  })),
  deviation: rows.map((row) => Float64Array.from({ length: row.length / 3 },
    (_, joint) => Math.exp(row[3 * joint] - 3 - row[3 * joint + 2]))),
}))"""


class Formula(PoseModel):
    """The network of the tests, written in both languages."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec

    def forward(self, keypoints: torch.Tensor) -> torch.Tensor:
        frames, joints = keypoints.shape[1:3]
        phase = torch.arange(joints) + 0.02 * torch.arange(frames)[:, None]
        depth = 0.2 * torch.sin(phase)[None]
        flat = (4 + depth[..., None]) * (keypoints[..., :2] - keypoints[:, :, :1, :2])
        z = depth + 0.1 * keypoints[..., 2]
        log = keypoints[..., 0] - 3 - keypoints[..., 2]
        return torch.cat([flat, z[..., None], log[..., None]], dim=-1)


def make_track(kind: str) -> Pose2D:
    """The sample's person as a detector of 33 landmarks might see them: some missing, some outside."""
    truth, layout, rng = load_sample_truth(), SKELETONS["mediapipe-33"], np.random.default_rng(5)
    places = dict(zip(truth.skeleton.joints, np.moveaxis(truth.points_px, 1, 0), strict=True))
    near = {
        "mouth": "nose",
        "eye": "nose",
        "ear": "nose",
        "pinky": "wrist",
        "index": "wrist",
        "thumb": "wrist",
    }
    near |= {"heel": "ankle", "toe": "ankle"}
    points = np.empty((len(truth.joints_m), 33, 2))
    for i, joint in enumerate(layout.joints):
        part = next((part for part in near if part in joint), None)
        name = joint if part is None else near[part]
        name = name if name in places else f"{joint.partition('_')[0]}_{name}"
        points[:, i] = places[name] + (0 if part is None else rng.normal(0, 6, 2))
    points += rng.normal(0, 1.5, points.shape)
    points[60:70, layout.index("left_wrist")] = (-20, 100)
    confidence = np.where(rng.random(points.shape[:2]) < 0.1, 0, rng.uniform(0.6, 1, points.shape[:2]))
    confidence[:, layout.index("right_eye")] = 0
    frames = np.arange(len(points))
    if kind == "uneven":
        frames = np.setdiff1d(frames, [*range(40, 44), *range(120, 170)])
    fps = 30.0 if kind == "even" else 25.0
    times = frames / fps + (rng.uniform(0, 0.008, len(frames)) if kind == "uneven" else 0)
    return Pose2D(
        points_px=points[frames].astype(np.float32),
        confidence=confidence[frames].astype(np.float32),
        frames=frames,
        times_s=times,
        fps=fps,
        image_size=truth.image_size,
        skeleton=layout,
        source="mediapipe test (web)",
    )


@pytest.fixture(scope="module", params=TRACKS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def track(kind: str) -> Pose2D:
    return make_track(kind)


@pytest.fixture(scope="module")
def lifted(track: Pose2D, kind: str) -> Pose3D:
    return Lifter(Formula(SPECS[TRACKS[kind]]), name="default", device="cpu").lift(track, height_m=1.82)


@pytest.fixture(scope="module")
def page(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("scripts")
    shutil.copytree(WEB, folder, dirs_exist_ok=True)
    (folder / "empty.html").write_text("<!doctype html>")
    with serve(folder) as served:
        opened = browser.new_page()
        tab = Tab(opened)
        opened.goto(served.url + "empty.html")
        opened.evaluate(
            """async () => {
                for (const name of ["lifting", "results", "scene", "bvh"]) {
                    Object.assign(window, await import(`./${name}.js`));
                }
            }"""
        )
        yield opened
        assert [error for error in tab.errors if "404" not in error] == []
        opened.close()


@pytest.fixture(scope="module")
def app(page: Any, track: Pose2D, kind: str) -> dict[str, Any]:
    """What the app makes of the track; it stays in the page as `pose`, too."""
    rows = {
        "points": track.points_px.reshape(len(track), -1).tolist(),
        "confidence": track.confidence.tolist(),
        "frames": track.frames.tolist(),
        "times": track.times_s.tolist(),
        "fps": track.fps,
        "size": list(track.image_size),
        "source": track.source,
    }
    found: dict[str, Any] = page.evaluate(
        f"""async ([track, constants]) => {{
            window.constants = constants;
            const packed = (rows) => rows.map((row) => Float64Array.from(row));
            Object.assign(track, {{ points: packed(track.points), confidence: packed(track.confidence) }});
            const network = {NETWORK};
            window.pose = await lift(track, async (clips) => network(clips), constants, {{ height: 1.82 }});
            const plain = (rows) => rows.map((row) => Array.from(row));
            return {{
                ...pose, joints: plain(pose.joints), points: plain(pose.points),
                deviation: plain(pose.deviation), confidence: plain(pose.confidence),
                json: toJson(pose, constants), csv: toCsv(pose, constants), bvh: toBvh(pose, constants),
            }};
        }}""",
        [rows, app_constants(SPECS[TRACKS[kind]], "default", "test")],
    )
    return found


def test_the_steps_around_the_network_are_those_of_the_package(app: dict[str, Any], lifted: Pose3D) -> None:
    shape = lifted.joints_m.shape
    assert app["frames"] == lifted.frames.tolist()
    assert app["seen"] == lifted.seen.tolist()
    assert lifted.coordinates == "camera"
    np.testing.assert_allclose(app["times"], lifted.times_s, atol=1e-9)
    np.testing.assert_allclose(np.reshape(app["joints"], shape), lifted.joints_m, atol=2e-5)
    np.testing.assert_allclose(np.reshape(app["points"], (*shape[:2], 2)), lifted.points_px, atol=2e-4)
    np.testing.assert_allclose(app["confidence"], lifted.confidence, atol=1e-6)
    np.testing.assert_allclose(app["deviation"], lifted.deviation_m, rtol=1e-4, atol=1e-6)


def test_json_and_csv_are_those_of_the_package(app: dict[str, Any], lifted: Pose3D, tmp_path: Path) -> None:
    write_json([lifted], tmp_path / "poses.json")
    wanted, found = json.loads((tmp_path / "poses.json").read_text()), json.loads(app["json"])
    assert wanted.keys() == found.keys()
    (there,), (here,) = wanted["tracks"], found["tracks"]
    assert list(there) == list(here)
    for key in there.keys() - {"poses", "intrinsics_px"}:
        assert there[key] == here[key], key
    np.testing.assert_allclose(here["intrinsics_px"], there["intrinsics_px"])
    for one, other in zip(there["poses"], here["poses"], strict=True):
        assert list(one) == list(other)
        for key in one:
            # The last digit may round the other way.
            np.testing.assert_allclose(
                other[key], one[key], atol={"points_px": 0.0101}.get(key, 1.1e-4), err_msg=key
            )
    write_csv([lifted], tmp_path / "poses.csv")
    rows = [
        list(csv.reader(text.splitlines())) for text in ((tmp_path / "poses.csv").read_text(), app["csv"])
    ]
    assert rows[0][0] == rows[1][0]
    assert json.loads(rows[1][1][-1]).keys() == json.loads(rows[0][1][-1]).keys()
    numbers = [np.array([row[:-1] for row in table[1:]], dtype=float) for table in rows]
    np.testing.assert_allclose(numbers[1], numbers[0], atol=0.0101)


def test_bvh_is_that_of_the_package(app: dict[str, Any], lifted: Pose3D, tmp_path: Path) -> None:
    export_poses([lifted], tmp_path / "walk.bvh")
    (head, motion), (head_app, motion_app) = (
        text.split("MOTION\n") for text in ((tmp_path / "walk.bvh").read_text(), app["bvh"])
    )
    words, words_app = head.split(), head_app.split()
    assert len(words) == len(words_app)
    for one, other in zip(words, words_app, strict=True):
        try:
            assert abs(float(one) - float(other)) < 0.01  # centimetres
        except ValueError:
            assert one == other
    assert motion.splitlines()[:2] == motion_app.splitlines()[:2]
    angles, angles_app = (np.loadtxt(text.splitlines()[2:]) for text in (motion, motion_app))
    apart = np.abs(angles_app - angles)
    np.testing.assert_array_less(apart[:, :3], 0.01)
    np.testing.assert_array_less(np.minimum(apart[:, 3:] % 360, 360 - apart[:, 3:] % 360), 0.05)


def test_the_scene_is_that_of_the_package(app: dict[str, Any], page: Any, lifted: Pose3D) -> None:
    wanted = make_scene([lifted])
    found = page.evaluate(
        """() => {
            const scene = makeScene(pose, constants, { title: "", notes: [] }), [figure] = scene.figures;
            const { runs, bones, colours } = figure, joints = [...figure.joints];
            const plain = { figures: [], centre: [...scene.centre], times: [...scene.times] };
            return { ...scene, ...plain, joints, runs, bones, colours };
        }"""
    )
    (figure,) = wanted.figures
    np.testing.assert_allclose(found["joints"], figure.joints_m.ravel(), atol=2e-4)
    np.testing.assert_allclose(found["centre"], wanted.centre_m.ravel(), atol=2e-4)
    np.testing.assert_allclose(found["times"], wanted.times_s, atol=1e-4)
    assert found["radius"] == pytest.approx(wanted.radius_m, abs=1e-3)
    assert found["facing"] == pytest.approx(wanted.facing_rad, abs=1e-3)
    assert wanted.camera is not None
    np.testing.assert_allclose(found["camera"]["T"], wanted.camera.T_cam_world.matrix, atol=1e-4)
    assert found["colours"] == figure.colours
    assert [tuple(bone) for bone in found["bones"]] == list(figure.pose.skeleton.bones)
    assert sum(length for _, length, _ in found["runs"]) == len(lifted)
