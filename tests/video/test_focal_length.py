"""The focal length that a camera wrote is found among FFmpeg's tags, in XMP and in the track itself."""

import struct
from pathlib import Path

import av
import numpy as np
import pytest

from repose.geometry.camera import Camera
from repose.video import open_video
from repose.video.focal_length import find_focal_length_mm

APPLE = "com.apple.quicktime.camera.focal_length.35mm_equivalent"


def film(path: Path, **tags: str) -> Path:
    with av.open(str(path), "w", options={"movflags": "use_metadata_tags"}) as container:
        container.metadata.update(tags)
        stream = container.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        picture = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
        container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def box(kind: bytes, *content: bytes) -> bytes:
    data = b"".join(content)
    return struct.pack(">I4s", 8 + len(data), kind) + data


def with_track_item(path: Path, kind: int, value: bytes, name: str = APPLE) -> Path:
    """The video with a camera's item in its track, as iPhones write it."""
    key = box(b"mdta", name.encode())
    meta = box(
        b"meta",
        box(b"hdlr", bytes(8), b"mdta", bytes(12)),
        box(b"keys", bytes(4), struct.pack(">I", 1), key),
        box(b"ilst", box(struct.pack(">I", 1), box(b"data", struct.pack(">II", kind, 0), value))),
    )
    data = film(path).read_bytes()
    for outer in (b"trak", b"moov"):  # the index is behind the pictures, whose places stay
        at = data.index(outer) - 4
        size = int.from_bytes(data[at : at + 4])
        added = meta if outer == b"trak" else b""
        data = b"".join(
            [
                data[:at],
                struct.pack(">I", size + len(meta)),
                data[at + 4 : at + size],
                added,
                data[at + size :],
            ]
        )
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("kind", "value"),
    [(1, b"26"), (21, b"\x1a"), (22, b"\0\x1a"), (23, struct.pack(">f", 26)), (24, struct.pack(">d", 26))],
    ids=["text", "signed", "unsigned", "float", "double"],
)
def test_the_item_of_a_track_is_read(tmp_path: Path, kind: int, value: bytes) -> None:
    assert open_video(with_track_item(tmp_path / "a.mov", kind, value)).info.focal_length_mm == 26


def test_tags_and_xmp_are_read(tmp_path: Path) -> None:
    assert open_video(film(tmp_path / "a.mov", **{APPLE: "26"})).info.focal_length_mm == 26
    assert open_video(film(tmp_path / "a.mkv", FocalLengthIn35mmFilm="28 mm")).info.focal_length_mm == 28
    plain = film(tmp_path / "b.mp4")
    assert open_video(plain).info.focal_length_mm is None
    for xmp in ('<rdf exif:FocalLengthIn35mmFilm="35"/>', "<exif:FocalLengthIn35mmFilm>35</exif:…>"):
        assert find_focal_length_mm(plain, {"xmp": xmp}) == 35
    assert find_focal_length_mm(plain, {"exif:FocalLengthIn35mmFilm": "240/10"}) == 24


@pytest.mark.parametrize("value", [b"0", b"-26", b"nan", b"1e9", b"26 px", b"", b"\xff\xfe", b"9" * 5000])
def test_what_no_lens_has_is_not_believed(tmp_path: Path, value: bytes) -> None:
    assert open_video(with_track_item(tmp_path / "a.mov", 1, value)).info.focal_length_mm is None


def test_other_items_and_lost_ends_say_nothing(tmp_path: Path) -> None:
    other = with_track_item(tmp_path / "a.mov", 1, b"26", name="com.apple.quicktime.camera.lens_model")
    assert find_focal_length_mm(other) is None
    whole = with_track_item(tmp_path / "b.mov", 1, b"26").read_bytes()
    for cut in range(0, len(whole), 37):
        (tmp_path / "c.mov").write_bytes(whole[:cut])
        assert find_focal_length_mm(tmp_path / "c.mov") in (None, 26)


def test_videos_are_as_wide_as_photographs() -> None:
    wide = Camera.from_focal_length((1920, 1080), 26)
    assert wide.intrinsics_px[0] == pytest.approx(1920 * 26 / 34.6)
    assert Camera.from_focal_length((1080, 1920), 26).intrinsics_px[0] == wide.intrinsics_px[0]
    assert Camera.from_focal_length((1600, 1200), 26).fov_deg((1600, 1200)) == pytest.approx(79.5, abs=0.2)
