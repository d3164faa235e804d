"""The page that says where to look."""

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from commands import run
from simulated import make_pose

import repose
from repose.batch import VideoRow, write_overview
from repose.batch.dataset import open_output, write_video
from repose.errors import UserError
from repose.pipeline import EstimateOptions


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A good video, one seen in part, one failed, with a name that would be markup."""
    out = tmp_path / "out"
    open_output(out, EstimateOptions())
    for name, seen in (("good-1", True), ("bad-2", False)):
        pose = make_pose(name, 6, record={**make_pose(name, 6).record, "swaps_undone": {}})
        pose = replace(pose, seen=pose.seen | seen, points_px=None)
        row = VideoRow(name=name, source=f"/clips/<b>{name}.mp4", status="done").about([pose])
        write_video(out, row, [pose])
    row = VideoRow(
        name="cut-3", source="/clips/cut.mp4", status="failed", message="<script>alert(1)</script>"
    )
    write_video(out, row, [])
    return out


class Items(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.pictures = 0
        self.text = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.ids += [str(value) for key, value in attributes if key == "id"]
        self.pictures += any((value or "").startswith("data:image/jpeg;base64,") for _, value in attributes)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_worst_come_first(out: Path, tmp_path: Path) -> None:
    assert write_overview(repose.read_batch(out), tmp_path / "page.html") == 3
    page = Items()
    page.feed((tmp_path / "page.html").read_text())
    assert page.ids == ["cut-3", "bad-2", "good-1"]
    assert page.pictures == 2
    assert "<script>alert(1)</script>" in page.text
    assert not {"script", "b>"} & set(page.tags)
    assert "100% seen" in page.text
    assert f"repose view {out} --video bad-2" in page.text
    assert write_overview(repose.read_batch(out), tmp_path / "one.html", count=1) == 1
    with pytest.raises(UserError, match="is there already"):
        write_overview(repose.read_batch(out), tmp_path / "page.html")


def test_view_shows_a_batch_and_one_of_its_videos(
    out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("view", out, "--no-browser") == 0
    assert "overview.html (3 videos)" in capsys.readouterr().out
    assert run("view", out, "--video", "good", "--html", tmp_path / "good.html") == 0
    assert (tmp_path / "good.html").stat().st_size > 10_000
    assert run("view", out, "--video", "absent") == 2
    assert "expected one video of this batch, found none" in capsys.readouterr().err
    assert run("export", out / "poses" / "good-1.parquet", tmp_path / "good.bvh") == 0
