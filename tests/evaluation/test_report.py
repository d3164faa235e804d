"""Every form of a report says what it is given, whatever names files have."""

import csv
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.table import Table

from repose.cli.terminal import show_report, wanted_files
from repose.cli.training import Compare
from repose.evaluation import Estimate, Report
from repose.evaluation.figures import draw_confidence
from repose.evaluation.report import add_row, make_table, show

NAME = "[red]a|b*_c[/]\x1b[31m"


class Small(Report):
    def numbers(self) -> Iterator[Sequence[object]]:
        yield "name", "mean", "none"
        yield NAME, 3.14159, math.nan
        yield "short", None

    def summary(self) -> str:
        return f"model {NAME}\n- two *words*"

    def tables(self) -> list[Table]:
        table = make_table(["name"], [f"minus\n{NAME}", "other"])
        add_row(table, NAME, show(Estimate(3.14159, 3.0, 3.5)), show(math.nan))
        return [table]

    def content(self) -> dict[str, Any]:
        return {"name": NAME, "mean": 3.14159265, "none": math.inf, "list": (math.nan, 1)}


def test_the_terminal_gets_names_as_they_are(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    show_report(Small(), {"markdown": tmp_path / "a.md", "json": tmp_path / "a.json"})
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert shown.count(r"[red]a|b*_c[/]\x1b[31m") == 3
    assert "3.1 ±0.2" in shown
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.md"]


def test_markdown_takes_names_for_nothing_else() -> None:
    lines = Small().to_markdown().splitlines()
    name = r"\[red\]a\|b\*\_c\[/\]\\x1b\[31m"
    assert lines[1] == r"- two \*words\*"
    assert lines[3:] == [
        f"| name | minus {name} | other |",
        "| --- | ---: | ---: |",
        f"| {name} | 3.1 ±0.2 | – |",
    ]


def test_csv_has_a_row_for_each_number_and_nothing_for_none() -> None:
    rows = list(csv.reader(Small().to_csv().splitlines()))
    assert rows == [["name", "mean", "none"], [NAME, "3.14159", ""], ["short", ""]]


def test_latex_takes_names_for_nothing_else() -> None:
    name = r"[red]a|b*\_c[/]\textbackslash{}x1b[31m"
    rows = [rf"name & minus {name} & other \\", rf"{name} & 3.1 $\pm$0.2 & -- \\"]
    assert Small().to_latex().splitlines()[2:] == rows
    assert Small().to_tabular().splitlines()[2:] == [
        r"\begin{tabular}{lrr}",
        r"\toprule",
        rows[0],
        r"\midrule",
        rows[1],
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_json_has_no_nan_and_no_more_digits_than_mean_something() -> None:
    assert json.loads(Small().to_json()) == {"name": NAME, "mean": 3.1416, "none": None, "list": [None, 1]}


def test_names_in_figures_are_no_formulas(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    ranges = [
        {"from": 0.0, "to": 0.5, "mpjpe_mm": 3.0, "joints": 2},
        {"from": 0.5, "to": 1.0, "mpjpe_mm": 2.0, "joints": 3},
    ]
    draw_confidence(ranges, r"$\frac{$ \x1b", tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_files_are_wanted_by_their_options(tmp_path: Path) -> None:
    assert wanted_files(Compare((), json=tmp_path / "a.json")) == {"json": tmp_path / "a.json"}
