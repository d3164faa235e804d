"""Options behind the commands: every number has a declared range, and what lies outside is refused."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import pytest

from repose.cli import main
from repose.cli.benchmark import BenchmarkOcclusion
from repose.cli.view import Render, View
from repose.datasets.clips import StoreConfig
from repose.datasets.projected import ProjectionConfig
from repose.errors import UserError, Within, check_ranges
from repose.fitting import RefineConfig
from repose.losses import LossWeights
from repose.pipeline import EstimateOptions
from repose.synthetic.detector_errors import DetectionConfig
from repose.synthetic.motions import SyntheticConfig
from repose.synthetic.procedural import ProceduralConfig
from repose.synthetic.virtual_camera import CameraConfig
from repose.training.train_config import TrainConfig

CONFIGS: dict[type, dict[str, Any]] = {
    EstimateOptions: {},
    RefineConfig: {},
    TrainConfig: {},
    SyntheticConfig: {},
    ProceduralConfig: {},
    DetectionConfig: {},
    CameraConfig: {},
    ProjectionConfig: {},
    StoreConfig: {},
    LossWeights: {},
    BenchmarkOcclusion: {},
    View: {"result": Path("a")},
    Render: {"result": Path("a")},
}


def kinds(hint: Any) -> Iterator[Any]:
    yield hint
    for part in get_args(hint):
        yield from kinds(part)


def plain(kind: Any) -> bool:
    return type(kind) is type


def numbers(config: type) -> dict[str, Any]:
    hints = get_type_hints(config, include_extras=True)
    return {
        name: hint
        for name, hint in hints.items()
        if {int, float} & {k for k in kinds(hint) if type(k) is type}
    }


NUMBERS = [(config, name) for config in CONFIGS for name in numbers(config)]


@pytest.mark.parametrize(("config", "name"), NUMBERS, ids=lambda value: getattr(value, "__name__", value))
def test_every_number_has_a_range_and_absurd_ones_are_refused(config: Any, name: str) -> None:
    hint = numbers(config)[name]
    assert any(isinstance(extra, Within) for extra in get_args(hint)), f"{name} has no range"
    bare, *_ = get_args(hint)
    lists = [kind for kind in kinds(bare) if getattr(kind, "__origin__", None) is tuple]
    pair, size = bool(lists), len([part for kind in lists[:1] for part in get_args(kind) if part is not ...])
    default = getattr(config(**CONFIGS[config]), name)
    for absurd in (1e300, -1e300, float("nan"), float("inf"), 10**30, -(10**30)):
        if float not in kinds(bare) and isinstance(absurd, float):
            continue
        value: Any = (
            (default[0], absurd) if pair and default else (1,) * (size - 1) + (absurd,) if pair else absurd
        )
        with pytest.raises(UserError, match=f"^{name}: expected .* to .*, found"):
            config(**CONFIGS[config], **{name: value})


@dataclass(frozen=True)
class Example:
    share: Annotated[float | None, Within(0, 1)] = None
    span: Annotated[tuple[int, int], Within(1, 9000, rising=True)] = (1, 2)

    def __post_init__(self) -> None:
        check_ranges(self)


def test_what_is_within_passes() -> None:
    for share, span in product((None, 0, 0.5, 1), ((1, 9000), (3, 3))):
        assert Example(share, span) == Example(share, span)
    with pytest.raises(UserError, match=r"share: expected 0 to 1, found 1\.5"):
        Example(1.5)
    with pytest.raises(UserError, match=r"span: expected 1 to 9,000, found \(1, 9001\)"):
        Example(span=(1, 9001))
    with pytest.raises(UserError, match=r"span: expected the smaller number first, found \(3, 2\)"):
        Example(span=(3, 2))


@pytest.mark.parametrize(
    "words",
    [
        "estimate a --out b --fps 1e9",
        "estimate a --out b --size 1 1000000000",
        "estimate a --out b --max-gap 1e12",
        "estimate a --out b --intrinsics 1e300 1 1 1",
        "refine a --out b --cutoff 1e300",
        "refine a --out b --camera-pitch 1e9 --camera-roll 0",
        "render a --video b.mp4 --height-px 1000000000",
        "render a --sheet b.png --count 1000000000",
        "view a --port 1000000",
        "benchmark occlusion --seed -1",
        "train tiny --out a --steps 10000000000000",
        "train tiny --out a --data.procedural.clips 1000000000",
        "train tiny --out a --data.camera.distance 1e-300 1",
    ],
)
def test_the_command_line_refuses_them(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(words.split())
    assert end.value.code == 2
    assert "expected" in capsys.readouterr().err


def test_no_option_class_is_forgotten() -> None:
    nested = {
        kind
        for config in CONFIGS
        for hint in get_type_hints(config).values()
        for kind in kinds(hint)
        if isinstance(kind, type) and hasattr(kind, "__dataclass_fields__")
    }
    assert nested <= set(CONFIGS)
    assert all(fields(config) for config in CONFIGS)
