"""The sweep of docs/distributed.md, run as it stands there but for its length."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "distributed.md").read_text(encoding="utf-8")


def test_the_example_searches_and_leaves_runs(tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna", reason="needs Optuna (pip install optuna)")
    pytest.importorskip("lightning_fabric")
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    short = example.replace("n_trials=20", "n_trials=2").replace(
        'PRESETS["tiny"]', 'replace(PRESETS["tiny"], frames=8, steps=1, batch=2, warmup_steps=0, workers=0)'
    )
    assert short.count("n_trials=2)") == short.count("frames=8") == 1
    (tmp_path / "sweep.py").write_text(short)
    command = [sys.executable, "sweep.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    study = optuna.load_study(study_name="ranks", storage=f"sqlite:///{tmp_path / 'sweep.db'}")
    assert len(study.trials) == 2
    assert all(trial.value > 0 for trial in study.trials)
    assert sorted(path.name for path in (tmp_path / "sweep").iterdir()) == ["0", "1"]
    assert "learning_rate" in done.stdout
