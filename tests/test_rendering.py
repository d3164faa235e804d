"""Rendered clips (scripts/render): the surface that is drawn, and which joints an object covers."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from repose.skeleton import H36M_17, stature
from repose.synthetic.procedural import ProceduralConfig, make_motion

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts" / "render"


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ModuleType, ModuleType]]:
    """The modules `raster` and `scenes`."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import raster
    import scenes

    yield raster, scenes
    for module in ("raster", "scenes", "figure", "sample_motion"):
        sys.modules.pop(module, None)


def test_tapered_capsules_are_where_their_spheres_are(scripts: tuple[ModuleType, ModuleType]) -> None:
    raster, _ = scripts
    rng = np.random.default_rng(0)
    sight = rng.normal((0, 0, 1), 0.15, (300, 3))
    sight /= np.linalg.norm(sight, axis=1, keepdims=True)
    hits = 0
    for _ in range(40):
        start = np.array([0, 0, 3.0]) + rng.normal(0, 0.3, 3)
        stop = start + rng.normal(0, 0.3, 3)
        first, second = rng.uniform(0.03, 0.15, 2)
        found, normal = raster.hit_cone(sight, start, stop, first, second)
        share = np.linspace(0, 1, 1500)[:, None]
        centre, radius = start + share * (stop - start), first + share[:, 0] * (second - first)
        along = sight @ centre.T
        square = along**2 - (centre**2).sum(axis=1) + radius**2
        spheres = np.where(square > 0, along - np.sqrt(np.maximum(square, 0)), np.inf).min(axis=1)
        # At the rim a ray may touch the surface between two of the spheres.
        hit = np.isfinite(found) & np.isfinite(spheres)
        assert (np.isfinite(found) != np.isfinite(spheres)).sum() <= 1
        np.testing.assert_allclose(found[hit], spheres[hit], atol=1e-3)
        assert (normal[hit] * sight[hit]).sum(axis=1).max(initial=-1) < 1e-3, "surfaces face the camera"
        hits += hit.sum()
    assert hits > 300


def test_a_person_is_drawn_at_its_joints_and_covered_by_what_is_nearer(
    scripts: tuple[ModuleType, ModuleType],
) -> None:
    raster, scenes = scripts
    config = ProceduralConfig(clips=1, seconds=0.2, fps=30.0, p_gait=1.0, p_floor=0, p_posture=0, p_load=0)
    (world,) = make_motion(config, seed=5)
    # From z up to a level camera's axes, 4 m away.
    joints = np.stack([world[..., 0], -world[..., 2], world[..., 1]], axis=-1)
    joints += np.array([0, 0, 4.0]) - joints.mean(axis=(0, 1))
    height = float(stature(world).mean())
    lens = raster.Lens(160, 200.0)
    up = np.array([0.0, -1.0, 0.0])
    open_scene = scenes.draw_scene(joints, up, height, lens, "in the open", 30.0, seed=1)
    canvas, covered = open_scene.render(0)
    assert not covered.any()
    column, row = np.round(lens.project(joints[0])).astype(int).T
    assert (canvas.owner[row, column] == raster.PERSON).mean() > 0.9
    depth_m = canvas.depth_m[row, column]
    assert (depth_m < joints[0, :, 2]).all(), "the skin, or a limb in front"
    assert np.median(joints[0, :, 2] - depth_m) < 0.25
    assert canvas.owner.mean() < 0.5
    walled, covered = scenes.draw_scene(joints, up, height, lens, "wall", 30.0, seed=1).render(0)
    shown = walled.owner[row, column]
    np.testing.assert_array_equal(covered, shown == raster.OBJECT)
    assert 0 < covered.sum() < len(H36M_17)
    # The wall's edge is upright: everything on one side of it is covered.
    x = joints[0, :, 0] / joints[0, :, 2]
    assert x[covered].max() < x[~covered].min() or x[covered].min() > x[~covered].max()


@pytest.mark.parametrize("kind", ["counter", "pole", "passers-by", "fence", "box", "board"])
def test_every_object_covers_somebody_sooner_or_later(
    kind: str, scripts: tuple[ModuleType, ModuleType]
) -> None:
    raster, scenes = scripts
    joints = np.zeros((3, 17, 3)) + np.linspace([-0.1, -0.85, 4.0], [0.1, 0.85, 4.0], 17)
    rng = np.random.default_rng(0)
    joints += 0.05 * rng.normal(size=joints.shape)
    lens = raster.Lens(96, 110.0)
    covered = [
        scenes.draw_scene(joints, np.array([0.0, -1, 0]), 1.7, lens, kind, 30.0, seed).render(1)[1].sum()
        for seed in range(6)
    ]
    assert max(covered) > 0
    assert min(covered) < 17
