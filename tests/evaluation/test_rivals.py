"""Published checkpoints beside ours, by one command."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from repose.cli import main
from repose.evaluation import open_lifter


def test_several_models_are_rows_of_one_table(
    motion: Path, published: Callable[[str], Path], tmp_path: Path
) -> None:
    files = {kind: tmp_path / kind for kind in ("csv", "latex", "tabular")}
    options = [word for kind, path in files.items() for word in (f"--{kind}", str(path))]
    xs = str(published("motionagformer-xs"))
    models = (("default", "Ours", "None"), (xs, "MotionAGFormer-XS", "None"), (xs, "its root", "False"))
    for model, label, relative in models:
        options += ["--model", model, "--label", label, "--root-relative", relative]
    main(
        ["benchmark", "occlusion", str(motion / "clip_3.npz"), "--conditions", "clean", "--no-fit", *options]
    )
    rows = [
        row for row in csv.DictReader(files["csv"].read_text().splitlines()) if row["metric"] == "mpjpe_mm"
    ]
    found = {row["model"]: float(row["mean"]) for row in rows if row["joints"] == "all"}
    assert list(found) == ["flat", "Ours", "MotionAGFormer-XS", "its root"]
    assert found["Ours"] < found["MotionAGFormer-XS"] != found["its root"]
    body = files["latex"].read_text().splitlines()[-3:]
    assert [line.split(" & ")[1] for line in body] == ["Ours", "MotionAGFormer-XS", "its root"]
    assert files["tabular"].read_text().splitlines()[-5:-2] == body


def test_a_published_file_is_read_as_it_was_published(published: Callable[[str], Path]) -> None:
    spec = open_lifter(published("motionagformer-xs"), device="cpu").spec
    assert (spec.normalisation, spec.root_relative, spec.window_frames) == ("screen", True, 27)
    lifter = open_lifter(
        published("repose"),
        label="Lite",
        architecture="motionbert-lite",
        root_relative=True,
        device="cpu",
    )
    assert (lifter.name, lifter.spec.name) == ("Lite", "motionbert-lite")
    assert (lifter.spec.normalisation, lifter.spec.root_relative) == ("crop-scaled", True)


@pytest.mark.parametrize("option", ["--label", "--architecture", "--root-relative"])
def test_what_is_said_is_said_of_every_model(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["benchmark", "occlusion", "--model", "default", "--model", "b.bin", option, "None"])
    assert stop.value.code == 2
    assert f"{option}: expected one for each --model, 2, found 1" in " ".join(capsys.readouterr().err.split())
