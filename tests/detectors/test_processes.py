"""Work shared out to processes that may die."""

import operator
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from repose.detectors.processes import share_out
from repose.errors import UserError


class Doubler:
    def __init__(self, marks: Path) -> None:
        self.marks = marks

    def __call__(self, number: int) -> int:
        if number == 3 and not (self.marks / "3").exists():
            (self.marks / "3").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return 2 * number


def refuse() -> Doubler:
    raise UserError("no model", "Get one.")


def die() -> Doubler:
    os._exit(7)


def test_each_item_is_done_though_a_process_dies(tmp_path: Path) -> None:
    died: list[int] = []
    items = (number for number in range(7))
    assert sorted(share_out(partial(Doubler, tmp_path), items, 2, died.append)) == [0, 2, 4, 6, 8, 10, 12]
    assert died == [3]


def test_a_script_without_a_guard_is_not_run_again(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from test_processes import double\nfrom repose.detectors.processes import share_out\n"
        "print(sorted(share_out(double, range(3), 2)))\n"
    )
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.stdout == "[0, 2, 4]\n", done.stderr[-2000:]


def double() -> Callable[[int], int]:
    return partial(operator.mul, 2)


def test_processes_that_cannot_begin_end_the_work() -> None:
    with pytest.raises(UserError, match="no model"):
        list(share_out(refuse, range(3), 1))
    with pytest.raises(UserError, match=r"before they have begun \(exit code 7\)"):
        list(share_out(die, range(3), 1))
