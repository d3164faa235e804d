"""Options of all commands, as `--help` shows them: one name has one type and one meaning."""

import re
import subprocess
import sys
from collections import defaultdict

import pytest
from commands import run

from repose.cli import COMMANDS, FORMER_OPTIONS, understand_former_names

KINDS = {
    "prepare": (
        "human36m",
        "mpi-inf-3dhp",
        "3dpw",
        "aist++",
        "blendmimic3d",
        "amass",
        "posetrack18",
        "instavariety",
        "mocap",
        "keypoints",
        "sample",
    ),
    "benchmark": ("occlusion", "video"),
    "train": ("tiny", "repose-human36m"),
}
"""Commands of several kinds; of training presets, one for motion and one for a store."""
CALLS = [f"{name} {kind}".split() for name in COMMANDS for kind in KINDS.get(name, [""])]
TWO_MEANINGS = {"--video"}
"""A file to write for `render`, a video of a batch for `view`: neither takes the other for its own."""
ROW = re.compile(r"(?:-\w(?: [^-,]+)?, )?(--[a-z][\w.-]+)(?:, --no-\S+)?(?: (\S.*?))?(?:  +(.*))?$")
"""Perhaps a letter, the name, perhaps its negation, perhaps the type, perhaps help."""


def options(text: str) -> dict[str, tuple[str, str]]:
    """Type and help of each option in the output of `--help`, in one column."""
    found: dict[str, tuple[str, str]] = {}
    name = ""
    for line in text.replace("│", " ").splitlines():
        content = line.strip()
        indent = len(line) - len(line.lstrip())
        row = ROW.match(content)
        if row and indent == 2:
            name = row[1]
            found[name] = (row[2] or "", row[3] or "")
        elif name and indent > 2:
            found[name] = (found[name][0], f"{found[name][1]} {content}".strip())
        else:
            name = ""
    return found


def kind(metavar: str) -> str:
    """The type without whether it may be left out; a list that is given item by item is of its items."""
    return re.sub(r"\{None\}\||None,|,None", "", metavar)


def meaning(text: str) -> str:
    """What comes before details, defaults and the repetition that a list allows."""
    return re.split(r"[.:;,(]", text)[0].strip()


@pytest.fixture
def described(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> dict[str, dict[tuple[str, str], list[str]]]:
    """Option -> type and meaning -> calls that have it so."""
    monkeypatch.setenv("COLUMNS", "120")  # one column
    found: dict[str, dict[tuple[str, str], list[str]]] = defaultdict(lambda: defaultdict(list))
    for call in CALLS:
        assert run(*call, "--help") == 0
        for name, (metavar, text) in options(capsys.readouterr().out).items():
            found[name][kind(metavar), meaning(text)].append(" ".join(call))
    return found


def test_one_name_has_one_type_and_one_meaning(
    described: dict[str, dict[tuple[str, str], list[str]]],
) -> None:
    assert {"--model", "--height", "--out", "--seed", "--data.store"} <= described.keys()
    assert {name: dict(uses) for name, uses in described.items() if len(uses) > 1}.keys() <= TWO_MEANINGS


@pytest.mark.parametrize("command", FORMER_OPTIONS)
def test_former_names_are_understood_with_a_warning(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    for former, present in FORMER_OPTIONS[command].items():
        assert understand_former_names(command, ["a", former, "7"]) == ["a", present, "7"]
        assert understand_former_names(command, [f"{former}=--x=7"]) == [f"{present}=--x=7"]
        said = capsys.readouterr().err
        assert said.count("Warning:") == 2
        assert f"{former} of repose {command} is called {present} now" in said
    assert understand_former_names(command, ["a", "--out", "b"]) == ["a", "--out", "b"]
    assert capsys.readouterr().err == ""


def test_former_names_reach_their_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("render", "absent", "--video", "a.mp4", "--height", "12") == 2
    assert "height_px: expected 64 to 4,320, found 12" in capsys.readouterr().err
    assert run("train", "tiny", "-o", "a", "--precision=bf16-mixed", "--steps", "0") == 2
    assert "steps: expected 1 to" in capsys.readouterr().err


def test_the_help_of_all_commands_imports_none_of_them() -> None:
    code = (
        "import sys\nfrom repose.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    *shown, modules = done.stdout.splitlines()
    assert all(f" {name} " in " ".join(shown) for name in COMMANDS)
    assert not {"torch", "numpy", "scipy", "av", "msgspec"} & set(modules.split())
    parts = {name for name in modules.split() if re.fullmatch(r"repose\.\w+", name)}
    assert parts <= {"repose.cli", "repose.errors", "repose.files"}
