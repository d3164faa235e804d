"""No command that scores writes over what is there, unless it is told to."""

from pathlib import Path

import pytest

from repose.cli import main


@pytest.mark.parametrize(
    "command",
    [
        *(
            f"evaluate . --{kind} mine"
            for kind in ("json", "csv", "latex", "tabular", "figure", "predictions", "markdown")
        ),
        *(f"benchmark occlusion . --{kind} mine" for kind in ("json", "csv", "figure", "markdown")),
        "benchmark occlusion . --worst worst",
        *(f"benchmark video . --{kind} mine" for kind in ("json", "latex", "markdown")),
        *(f"compare . --{kind} mine" for kind in ("json", "csv", "latex", "tabular")),
    ],
)
def test_what_is_there_stays(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "worst").mkdir()
    there = [tmp_path / "mine", tmp_path / "worst" / "01_wall.png"]
    for path in there:
        path.write_text("years of work")
    with pytest.raises(SystemExit) as stop:
        main(command.split())
    assert stop.value.code == 2
    assert "overwrite with --force" in capsys.readouterr().err
    assert [path.read_text() for path in there] == ["years of work"] * 2
    with pytest.raises(SystemExit):
        main([*command.split(), "--force"])
    assert "overwrite" not in capsys.readouterr().err  # but that there is nothing to score
