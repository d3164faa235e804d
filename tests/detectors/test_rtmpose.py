"""The adapter and rtmlib's own code, run with networks of a few nodes that are made here."""

import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from repose.detectors import get_detector
from repose.errors import UserError
from repose.video import VideoFrame, VideoInfo

JOINTS = 26
BOXES = np.array([[4, 6, 24, 46], [38, 2, 60, 42]], np.float32)
NETWORK_SIZE = 64
"""Side of the picture that the person network takes: that of the test frames, so nothing is scaled."""


def field(number: int, value: int | bytes | str) -> bytes:
    """One protobuf field."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    head = bytes([value & 0x7F | (0x80 if value > 0x7F else 0)])
    return head + (varint(value >> 7) if value > 0x7F else b"")


def tensor(name: str, values: np.ndarray) -> bytes:
    kind = 7 if values.dtype == np.int64 else 1
    dims = b"".join(field(1, side) for side in values.shape)
    return dims + field(2, kind) + field(8, name) + field(9, values.tobytes())


def value_info(name: str, shape: tuple[int, ...]) -> bytes:
    dims = b"".join(field(1, field(1, side)) for side in shape)
    return field(1, name) + field(2, field(1, field(1, 1) + field(2, dims)))


def onnx_model(
    path: Path, picture: tuple[int, int], nodes: str, outputs: dict, **weights: np.ndarray
) -> Path:
    """An ONNX file; `nodes` holds lines `output = Operator(input, input)`."""
    graph = b""
    for line in nodes.strip().splitlines():
        output, _, call = line.replace(" ", "").partition("=")
        operator, _, inputs = call.rstrip(")").partition("(")
        parts = b"".join(field(1, name) for name in inputs.split(","))
        graph += field(1, parts + field(2, output) + field(4, operator))
    graph += field(2, "test")
    graph += b"".join(field(5, tensor(name, values)) for name, values in weights.items())
    graph += field(11, value_info("picture", (1, 3, *picture)))
    graph += b"".join(field(12, value_info(name, shape)) for name, shape in outputs.items())
    path.write_bytes(field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 13)))
    return path


@pytest.fixture
def person_model(tmp_path: Path) -> Path:
    """Sees both BOXES where the mean of channel 2 exceeds that of channel 0 (red pictures, in BGR)."""
    boxes = np.concatenate([BOXES, np.ones((2, 1), np.float32)], axis=1)[None]
    return onnx_model(
        tmp_path / "people.onnx",
        (NETWORK_SIZE, NETWORK_SIZE),
        """mean = GlobalAveragePool(picture)
        flat = Reshape(mean, flat_shape)
        red = MatMul(flat, red_minus_blue)
        gate = Add(red, ones)
        boxes = Mul(gate, boxes_seen)""",
        {"boxes": boxes.shape},
        flat_shape=np.array([1, 1, 3]),
        red_minus_blue=np.array(
            [[[0, 0, 0, 0, -1]], [[0, 0, 0, 0, 0]], [[0, 0, 0, 0, 1]]], np.float32
        ).reshape(1, 3, 5)
        / 255,
        ones=np.array([[[1, 1, 1, 1, 0]]], np.float32),
        boxes_seen=boxes,
    )


def peaks(joints: int, length: int, places: np.ndarray) -> np.ndarray:
    rows = np.zeros((1, joints, length), np.float32)
    rows[0, np.arange(joints), places] = 1
    return rows


def pose_network(path: Path, joints: int = JOINTS) -> Path:
    """Peaks of joint j at x = 4 j, y = 6 j + 8 of 192 × 256, as high as red exceeds blue (in RGB)."""
    return onnx_model(
        path,
        (256, 192),
        """mean = GlobalAveragePool(picture)
        flat = Reshape(mean, flat_shape)
        red = MatMul(flat, red_minus_blue)
        simcc_x = Mul(red, x)
        simcc_y = Mul(red, y)""",
        {"simcc_x": (1, joints, 384), "simcc_y": (1, joints, 512)},
        flat_shape=np.array([1, 1, 3]),
        red_minus_blue=np.array([[[0.2], [0], [-0.2]]], np.float32),
        x=peaks(joints, 384, 8 * np.arange(joints)),
        y=peaks(joints, 512, 12 * np.arange(joints) + 16),
    )


def pictures() -> Iterator[VideoFrame]:
    """Red pictures, and grey ones in which the network sees nobody."""
    for number, colour in enumerate([(255, 0, 0), (255, 0, 0), (99, 99, 99), (255, 0, 0)]):
        yield VideoFrame(number, number / 25, np.full((NETWORK_SIZE, NETWORK_SIZE, 3), colour, np.uint8))


@pytest.fixture
def rtmlib() -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("rtmlib")


@pytest.mark.usefixtures("rtmlib")
def test_two_people_come_out_in_pixels(
    tmp_path: Path, person_model: Path, info: VideoInfo, capfd: pytest.CaptureFixture[str]
) -> None:
    pose_model = pose_network(tmp_path / "pose.onnx")
    detector = get_detector("rtmpose", person_model=person_model, pose_model=pose_model)
    tracks = detector.detect(pictures(), info)
    assert [(track.track_id, track.frames.tolist()) for track in tracks] == [(0, [0, 1, 3]), (1, [0, 1, 3])]
    for box, track in zip(BOXES, tracks, strict=True):
        assert track.skeleton.name == "halpe-26"
        # RTMPose takes the box with a quarter more, widened to the shape of its picture (3 : 4).
        centre, (width, height) = (box[:2] + box[2:]) / 2, 1.25 * (box[2:] - box[:2])
        height = max(height, width * 4 / 3)
        places = np.stack([4 * np.arange(JOINTS) / 192, (6 * np.arange(JOINTS) + 8) / 256], axis=-1)
        expected = centre + (places - 0.5) * [height * 3 / 4, height]
        np.testing.assert_allclose(track.points_px[0], expected, atol=0.01)
        # Peaks of 0.2 (normalised red minus blue), for the part of the crop that is inside the picture.
        assert (track.confidence > 0.2).all()
        assert (track.confidence <= 1).all()
    assert capfd.readouterr().out == ""
    assert tracks[0].source == "rtmpose people+pose"


@pytest.mark.usefixtures("rtmlib")
def test_models_that_do_not_fit_are_named(tmp_path: Path, person_model: Path, info: VideoInfo) -> None:
    coco = pose_network(tmp_path / "coco.onnx", joints=17)
    detector = get_detector("rtmpose", person_model=person_model, pose_model=coco)
    with pytest.raises(UserError, match=r"expected a pose_model with 26 joints \(Halpe-26\), found 17"):
        detector.detect(pictures(), info)
    with pytest.raises(UserError, match="no model at"):
        get_detector("rtmpose", person_model=tmp_path / "absent.onnx")
    (tmp_path / "text.onnx").write_bytes(struct.pack("8s", b"no model"))
    with pytest.raises(UserError, match="expected an ONNX model, found"):
        get_detector("rtmpose", pose_model=tmp_path / "text.onnx")
    with pytest.raises(UserError, match="expected mode balanced, lightweight, performance, found 'quick'"):
        get_detector("rtmpose", mode="quick")


@pytest.mark.usefixtures("rtmlib")
def test_a_failed_download_says_how_to_do_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(url: str, *_: object, **__: object) -> str:
        raise OSError("network is unreachable")

    import rtmlib.tools.base

    monkeypatch.setattr(rtmlib.tools.base, "download_checkpoint", fail)
    with pytest.raises(UserError, match="network is unreachable") as error:
        get_detector("rtmpose")
    assert "pose_model" in error.value.hint


def test_without_rtmlib_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rtmlib", None)
    with pytest.raises(UserError, match="detector 'rtmpose' cannot be loaded") as error:
        get_detector("rtmpose")
    assert "rtmlib" in error.value.hint
