"""Single files appear whole or not at all. Folders: tests/formats/test_results.py, with what fills them."""

import os
from pathlib import Path

import pytest

from repose.errors import UserError
from repose.files.output import check_file, stage_file


def test_a_file_takes_its_place_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "walk.v1.glb"
    path.write_text("old")
    with stage_file(path) as partial:
        assert (partial.parent, partial.suffix) == (tmp_path, ".glb")
        partial.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["walk.v1.glb"]


@pytest.mark.parametrize(
    "failure", [OSError(28, "No space left on device"), KeyboardInterrupt(), ValueError()]
)
def test_what_fails_leaves_everything_as_it_was(tmp_path: Path, failure: BaseException) -> None:
    path = tmp_path / "state.pt"
    path.write_text("old")

    def write() -> None:
        with stage_file(path, hint="Make room.") as partial:
            partial.write_text("half")
            raise failure

    with pytest.raises((UserError, type(failure))) as error:
        write()
    if isinstance(error.value, UserError):
        assert error.value.message == f"{path}: cannot be written: No space left on device"
        assert error.value.hint == "Make room."
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["state.pt"]


def test_a_disk_that_is_full_at_the_last_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    def write() -> None:
        with stage_file(tmp_path / "walk.glb") as partial:
            partial.write_text("new")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left on device"):
        write()
    assert not list(tmp_path.iterdir())


def test_places_that_cannot_be_written_are_known_before(tmp_path: Path) -> None:
    (tmp_path / "there.glb").write_text("mine")
    check_file(tmp_path / "there.glb")
    for path, message in (
        (tmp_path, "expected the name of a file to write, found a folder"),
        (tmp_path / "absent" / "walk.glb", "expected a folder to write to, found none called"),
        (tmp_path / "there.glb", "is there already"),
    ):
        with pytest.raises(UserError, match=message):
            check_file(path, force=False)
