"""Runs side by side: grouped by settings, averaged over seeds, paired by seed."""

import csv
import json
import math
from pathlib import Path

import pytest

from repose.cli import main
from repose.errors import UserError
from repose.training.comparison import compare
from repose.training.logging import TrainingLog
from repose.training.run_folder import read_scores


def make_run(
    folder: Path, seed: int, error: float, *, rank: float = 0.02, step: int = 90, **settings: object
) -> Path:
    folder.mkdir(parents=True)
    config = {"seed": seed, "losses": {"spatial_rank": rank}, "devices": 1, **settings}
    (folder / "config.json").write_text(json.dumps({"config": config}))
    lines = [
        {"step": step // 2, "mpjpe_mm": 99.0},
        {"step": step, "mpjpe_mm": error, "p_mpjpe_mm": error / 2},
    ]
    (folder / "validation.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    with_ranks = [make_run(tmp_path / f"with{seed}", seed, 40.0 + seed) for seed in range(3)]
    # Seeds move both alike: the spread of the differences is far smaller than that of the groups.
    without = [
        make_run(tmp_path / f"without{seed}", seed, 42.0 + seed + 0.1 * (seed - 1), rank=0.0, devices=2)
        for seed in (2, 0, 1)
    ]
    return with_ranks + without


def test_groups_are_averaged_and_paired_by_seed(runs: list[Path]) -> None:
    comparison = compare(runs)
    first, second = comparison.groups
    assert (first.label, second.label) == ("losses.spatial_rank 0.02", "losses.spatial_rank 0.0")
    assert (first.seeds, second.seeds) == ((0, 1, 2), (2, 0, 1))
    assert comparison.metrics == ("mpjpe_mm", "p_mpjpe_mm")
    assert first.values["mpjpe_mm"].mean == pytest.approx(41)
    assert first.values["mpjpe_mm"].deviation == pytest.approx(1)
    assert second.values["mpjpe_mm"].deviation == pytest.approx(1.1)
    difference = second.differences["mpjpe_mm"]
    assert (difference.mean, difference.deviation) == (pytest.approx(2), pytest.approx(0.1))
    assert second.differences["p_mpjpe_mm"].mean == pytest.approx(1)
    assert not first.differences
    assert not comparison.notes


def test_only_common_seeds_are_paired_and_it_says_so(runs: list[Path], tmp_path: Path) -> None:
    comparison = compare([*runs[:3], runs[3], make_run(tmp_path / "new", 7, 1.0, rank=0.0, step=30)])
    assert comparison.groups[1].differences["mpjpe_mm"].count == 1
    assert comparison.groups[1].differences["mpjpe_mm"].deviation is None
    assert "only seeds [2] are in both groups" in comparison.notes[0]
    assert "different steps" in comparison.notes[1]
    assert "new 30" in comparison.notes[1]


def test_a_line_that_is_being_written_does_not_count(runs: list[Path]) -> None:
    with (runs[0] / "validation.jsonl").open("a") as file:
        file.write('{"step": 120, "mpjpe_m')
    assert compare(runs[:1]).groups[0].values["mpjpe_mm"].mean == 40


def test_the_command_prints_a_table_and_writes_json(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("repose.cli.console.width", 200)
    main(["compare", *map(str, runs), "--json", str(tmp_path / "table.json")])
    shown = capsys.readouterr().out
    assert "41.00 ± 1.00" in shown
    assert "+2.00 ± 0.10" in shown
    written = json.loads((tmp_path / "table.json").read_text())
    assert written["groups"][1]["differences"]["mpjpe_mm"]["mean"] == pytest.approx(2)
    (tmp_path / "table.json").write_text("older")
    main(["compare", *map(str, runs), "--json", str(tmp_path / "table.json"), "--force"])
    assert json.loads((tmp_path / "table.json").read_text()) == written


def test_rows_have_the_names_that_they_are_given(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {kind: tmp_path / kind for kind in ("csv", "latex", "tabular")}
    options = [word for kind, path in files.items() for word in (f"--{kind}", str(path))]
    main(["compare", *map(str, runs), "--label", "with order", "--label", "without", *options])
    rows = list(csv.DictReader(files["csv"].read_text().splitlines()))
    assert [(row["runs"], row["metric"]) for row in rows] == [
        (name, metric) for name in ("with order", "without") for metric in ("mpjpe_mm", "p_mpjpe_mm")
    ]
    assert float(rows[2]["mean"]) == pytest.approx(43)
    assert float(rows[2]["difference_mean"]) == pytest.approx(2)
    assert not rows[0]["difference_mean"]
    wanted = r"without & 3 & 43.00 $\pm$ 1.10 & +2.00 $\pm$ 0.10 & 21.50 $\pm$ 0.55 & +1.00 $\pm$ 0.05 \\"
    assert wanted in files["latex"].read_text()
    assert wanted in files["tabular"].read_text()
    with pytest.raises(UserError, match="labels: expected 2 different ones"):
        compare(runs, ["one"])


def test_a_label_is_shown_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long = {f"setting_{number}": "x" * 40 for number in range(40)}
    runs = [make_run(tmp_path / "a", 0, 1.0, **long), make_run(tmp_path / "b", 0, 2.0)]
    label = compare(runs).groups[0].label
    assert len(label) > 2000
    main(["compare", *map(str, runs)])
    assert label in capsys.readouterr().out


def test_what_cannot_be_compared_is_said(runs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere: expected the folder of a run, with its config\.json"):
        compare([tmp_path / "nowhere"])
    with pytest.raises(UserError, match="the same settings and the same seed, 0"):
        compare([runs[0], make_run(tmp_path / "twin", 0, 1.0)])
    with pytest.raises(UserError, match="at least one folder"):
        compare([])
    (runs[0] / "validation.jsonl").unlink()
    with pytest.raises(UserError, match=r"with0: expected validation scores in validation\.jsonl"):
        compare(runs)
    other = make_run(tmp_path / "other", 3, 1.0)
    (other / "validation.jsonl").write_text('{"step": 1, "noisy_mpjpe_mm": 3.0}\n')
    with pytest.raises(UserError, match="no validation score in common"):
        compare([runs[1], other])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"a":' * 100_000, "line 3: .*expected"),
        ("[]", "line 3: expected `object`, found `array`"),
        ('{"step": 120, "mpjpe_mm": "<b>"}', "line 3: .*expected `[a-z| ]+`, found `str`"),
        ('{"step": 1e300}', "line 3: step: expected `int`"),
        ('{"step": -1}', "line 3: step: expected `int` >= 0"),
        ('{"mpjpe_mm": 3.0}', "line 3: step: expected `int`, found `null`"),
        ('{"step": 120, "mpjpe_mm": 1e999}', "line 3"),
        ("\udcff", "line 3: expected JSON"),
    ],
)
def test_damaged_scores_are_refused(runs: list[Path], line: str, message: str) -> None:
    path = runs[0] / "validation.jsonl"
    with path.open("ab") as file:
        file.write(line.encode(errors="surrogateescape") + b"\n")
    with pytest.raises(UserError, match=f"validation.jsonl, {message}"):
        compare(runs)
    # A run that is resumed reads them in the same way, and leaves them as they are.
    before = path.read_bytes()
    with pytest.raises(UserError, match=message):
        TrainingLog(runs[0], 90, 100, active=True)
    assert path.read_bytes() == before


def test_a_resumed_run_keeps_the_scores_up_to_its_state(runs: list[Path]) -> None:
    path = runs[0] / "validation.jsonl"
    with path.open("a") as file:
        file.write('{"step": 95, "mpjpe_mm": null}\n{"step": 120, "mpjpe_mm": 1.0}\n{"step": 13')
    with TrainingLog(runs[0], 95, 200, active=True) as log:
        log.scores(130, {"mpjpe_mm": math.nan})
    kept = read_scores(runs[0])
    assert [scores.step for scores in kept] == [45, 90, 95, 130]
    assert kept[1].values == {"mpjpe_mm": 40.0, "p_mpjpe_mm": 20.0}
    assert math.isnan(kept[2].values["mpjpe_mm"])
    assert math.isnan(kept[3].values["mpjpe_mm"])
