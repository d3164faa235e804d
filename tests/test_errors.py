"""Tests of the one handler that every reader has."""

import inspect
import json
from pathlib import Path

import pytest

from repose.errors import UserError, reading, reads


@pytest.mark.parametrize("error", [KeyError("fps"), OverflowError("too large"), RecursionError(), EOFError()])
def test_whatever_a_parser_throws_becomes_a_message_about_the_file(error: Exception) -> None:
    with pytest.raises(UserError) as raised, reading("walk.bvh", "a BVH file", "Export it again."):
        raise error
    assert raised.value.message.startswith(
        "walk.bvh: expected a BVH file, found a file that cannot be read ("
    )
    assert type(error).__name__ in raised.value.message
    assert raised.value.hint == "Export it again."
    assert raised.value.__cause__ is error


def test_what_says_more_already_passes() -> None:
    for error in (UserError("a thigh of 9 m"), KeyboardInterrupt(), ModuleNotFoundError("h5py")):
        with pytest.raises(type(error)) as raised, reading("walk.bvh", "a BVH file"):
            raise error
        assert raised.value is error


def test_the_system_says_why_a_file_cannot_be_opened(tmp_path: Path) -> None:
    for path, why in (
        (tmp_path / "absent", "no such file or folder"),
        (tmp_path, r"cannot be read \(Is a directory\)"),
    ):
        with pytest.raises(UserError, match=f"{path}: {why}"), reading(path, "a BVH file"):
            path.read_bytes()


def test_a_file_that_asks_for_more_memory_than_there_is() -> None:
    with pytest.raises(UserError, match="found more in it than the memory"), reading("a.npz", "an array"):
        raise MemoryError


def test_words_of_a_file_stay_on_one_short_line() -> None:
    with pytest.raises(UserError) as raised, reading("a.json", "JSON"):
        raise ValueError("\x1b[2J\n" + "9" * 5000)
    assert raised.value.message.isprintable()
    assert len(raised.value.message) < 300


def test_a_message_is_fit_for_a_terminal() -> None:
    error = UserError("läufer\n\x1b[2J\ud800", "\u202e" + "9" * 5000)
    assert error.message == "läufer\n\\x1b[2J\\ud800"
    assert error.hint.startswith("\\u202e999")
    assert len(error.hint) < 2100
    assert str(error).encode().decode() == f"{error.message}\n{error.hint}"


def test_a_decorated_reader_keeps_its_signature_and_blames_wrong_calls_on_the_caller() -> None:
    @reads("JSON")
    def read(path: Path, *, strict: bool = False) -> str:
        """Read it."""
        return str(json.loads("[" * (2 if strict else 0)))

    assert read.__doc__ == "Read it."
    assert list(inspect.signature(read).parameters) == ["path", "strict"]
    with pytest.raises(UserError, match=r"a\.json: expected JSON"):
        read(path=Path("a.json"), strict=True)
    with pytest.raises(TypeError, match="unknown"):
        read(Path("a.json"), unknown=1)  # type: ignore[call-arg]
