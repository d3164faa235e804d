"""What is printed, and how a command ends: full disks, pipes, terminals of few characters, signals."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import run

from repose.cli.terminal import echo, terminal
from repose.errors import UserError
from repose.files.output import stage_file
from repose.training.run_folder import save_tensors

REPOSE = [sys.executable, "-m", "repose"]
needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")


def ending(arguments: list[str], stdout: Any) -> tuple[int, str]:
    done = subprocess.run(
        [*REPOSE, *arguments], stdout=stdout, stderr=subprocess.PIPE, text=True, check=False
    )
    return done.returncode, done.stderr


@needs_full
@pytest.mark.parametrize("arguments", [["models"], ["--help"]])
def test_a_full_disk_behind_standard_output(arguments: list[str]) -> None:
    with open("/dev/full", "w") as full:
        assert ending(arguments, full) == (
            2,
            "Error: standard output cannot be written (No space left on device)\n"
            "Free some disk space, or redirect the output.\n",
        )


def test_a_reader_that_has_gone() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as pipe:
        assert ending(["models"], pipe) == (141, "")


def test_characters_that_the_terminal_lacks_are_spelt_with_those_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    with terminal():
        echo("“läufer.trc”: 3–4 m ± 2°, straße, 走")
    stream.seek(0)
    assert stream.read() == '"laufer.trc": 3-4 m +- 2?, strasse, ?\n'


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
@pytest.mark.parametrize("before", [True, False])
def test_a_signal_is_an_interrupt_and_says_what_was_written(
    number: signal.Signals,
    before: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def work(self: object) -> None:
        if before:
            with stage_file(tmp_path / "sheet.png") as partial:
                partial.write_text("whole")
        with stage_file(tmp_path / "video.mp4") as partial:
            partial.write_text("half")
            os.kill(os.getpid(), number)
            time.sleep(5)

    monkeypatch.setattr("repose.cli.models.Models.run", work)
    monkeypatch.setattr(signal, "getsignal", lambda _: signal.SIG_DFL)  # whatever runs the tests ignores
    assert run("models") == 128 + number
    there = f"written before: {tmp_path / 'sheet.png'}" if before else "nothing was written"
    assert capsys.readouterr().err == f"Interrupted; {there}.\n"
    assert os.listdir(tmp_path) == (["sheet.png"] if before else [])


@needs_full
def test_a_full_disk_under_tensors_is_called_so(tmp_path: Path) -> None:
    def write() -> None:
        with stage_file(tmp_path / "state.pt") as partial:
            partial.symlink_to("/dev/full")
            save_tensors(partial, {"weights": torch.zeros(100_000)})

    with pytest.raises(UserError, match=r"state.pt: cannot be written: No space left on device"):
        write()
    assert os.listdir(tmp_path) == []
