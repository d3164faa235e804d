from pathlib import Path

import pytest

from repose.video import VideoInfo


@pytest.fixture
def info() -> VideoInfo:
    """A small video of a second or so."""
    return VideoInfo(Path("clip.mp4"), 64, 48, 25.0, 30, 1.2, 0, "h264", False)
