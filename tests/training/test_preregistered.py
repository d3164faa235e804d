"""The pre-registered experiment: its runs, its test, and a tiny one from beginning to end."""

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from repose.synthetic.motions import SyntheticClips
from repose.synthetic.procedural import ProceduralConfig, make_motion
from repose.training.validation import Validation

pytest.importorskip("matplotlib")
pytest.importorskip("lightning_fabric")
SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture(scope="module")
def script() -> Any:
    sys.path.insert(0, str(SCRIPTS))
    import preregistered

    sys.path.remove(str(SCRIPTS))
    return preregistered


class FewClips(Validation):
    def __init__(self, data: SyntheticClips) -> None:
        super().__init__(data, clips=2)


def options(tmp_path: Path, **changes: Any) -> argparse.Namespace:
    given = {"runs": tmp_path / "runs", "mocap": tmp_path / "motion", "motion": tmp_path / "motion"}
    given |= {"backbone": "frameformer-small", "frames": [8], "seeds": 2, "steps": 1, "batch": 2}
    given |= {"accelerator": "cpu", "workers": 0, "quick": True, "report_only": False, "markdown": None}
    return argparse.Namespace(**{**given, **changes})


def test_p_values_are_corrected_for_their_number(script: Any) -> None:
    """The example of Holm's correction in R's manual, `p.adjust`, and by hand."""
    assert script.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert script.holm([0.9, 0.8]) == [1.0, 1.0]


def test_an_effect_is_found_and_noise_is_not(script: Any) -> None:
    random = np.random.default_rng(0)
    count = np.full((5, 30), 100.0)
    base = 60 + 3 * random.normal(size=(1, 30)) + random.normal(size=(5, 1))
    noise = 0.3 * random.normal(size=(2, 5, 30))
    none, same, better = (
        np.stack([mean * count, count], axis=-1) for mean in (base, base + noise[0], base - 2 + noise[1])
    )
    p, error = script.t_test(same, none)
    assert p > 0.05
    assert 0.01 < error < 0.2
    assert script.t_test(better, none)[0] < 0.001
    assert np.isnan(script.t_test(better[:1], none[:1])[0])


def test_every_form_has_every_weight_and_what_it_is_compared_with(script: Any, tmp_path: Path) -> None:
    runs = list(script.all_runs(options(tmp_path, frames=[27, 128], seeds=5)))
    assert len(runs) == 5 * 2 * (2 + 4 * 4)
    assert len({run.folder for run in runs}) == len(runs)
    names = {run.arm.name for run in runs}
    assert {run.arm.base for run in runs} <= names
    for run in runs:
        config = script.settings(run, options(tmp_path, steps=20_000, batch=None))
        assert config.frames * config.batch == pytest.approx(2048, abs=config.frames / 2)
        assert config.losses.spatial_rank == config.losses.temporal_rank == run.arm.weight
        assert config.steps == (2000 if run.arm.tuned else 20_000)
        assert (config.initial is not None) == run.arm.tuned
        assert config.data.detection.limb_lost_frames == (15, 120)


def test_a_tiny_experiment_runs_through_and_goes_on(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "motion").mkdir()
    for number, joints in enumerate(make_motion(ProceduralConfig(clips=2, seconds=3.0, fps=30.0), 5)):
        np.savez(tmp_path / "motion" / f"clip_{number}.npz", joints_m=joints, fps=30.0)
    few = [
        script.NONE,
        script.Arm("margin", 1.0, 1.0),
        script.TUNED,
        script.Arm("tuned, margin", 1.0, 1.0, True),
    ]
    monkeypatch.setattr(script, "ARMS", few)
    monkeypatch.setattr("repose.training.loop.Validation", FewClips)
    given = options(tmp_path)
    script.train_all(given)
    made = sorted(tmp_path.glob("runs/*/*/*/model.safetensors"))
    assert len(made) == 8
    shutil.rmtree(made[0].parent)
    before = made[1].stat().st_mtime_ns
    script.train_all(given)  # only what is missing
    assert made[0].exists()
    assert made[1].stat().st_mtime_ns == before
    tables = script.write(given)
    assert "p by Holm for 2 comparisons" in tables
    assert tables.count("| tuned, margin | 1 | 8 | 2 |") == 3
    assert tables.count("| tuned without |  | 8 | 2 |") == 2
