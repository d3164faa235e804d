"""`repose benchmark`."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from repose.cli.terminal import (
    Input,
    Modules,
    ProgressBars,
    ReportFiles,
    echo,
    import_modules,
    show_report,
    wanted_files,
)
from repose.errors import Within, check_ranges, expected
from repose.models.inference import Device

if TYPE_CHECKING:
    from repose.evaluation.models import Model


@dataclass(frozen=True, kw_only=True)
class _Benchmark(ReportFiles):
    """What all benchmarks are told: which models, and where results go."""

    model: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Model: name of packaged weights (`repose models`) or path of a checkpoint, ours or a published one; may
    be given several times. The others are compared with the first one."""
    label: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Name in the results, one for each --model in their order; default: the file's."""
    architecture: tyro.conf.UseAppendAction[tuple[str | None, ...]] = ()
    """Model in a published checkpoint, one for each --model; None: as its tensors tell."""
    root_relative: tyro.conf.UseAppendAction[tuple[bool | None, ...]] = ()
    """Whether joints are relative to the root, one for each --model; None: as published."""
    fit: bool = True
    """Fit the network's answer to the picture: a second row for each model."""
    device: Device = "auto"
    imports: Modules = ()
    """Modules that register your own models; the current folder is searched, too."""

    def __post_init__(self) -> None:
        check_ranges(self)

    def models(self) -> list["Model"]:
        """Open the models of which something is said besides their file.

        Raises UserError for a number of labels and so on that is not that of the models.
        """
        from repose.evaluation import open_lifter

        models: list[Model] = list(self.model or ("default",))
        said = {name: getattr(self, name) for name in ("label", "architecture", "root_relative")}
        for name, values in said.items():
            if values and len(values) != len(models):
                option = name.replace("_", "-")
                expected(f"--{option}", f"one for each --model, {len(models)}", len(values))
        for number, model in enumerate(self.model or ("default",)):
            label, architecture, relative = (values[number] if values else None for values in said.values())
            if {label, architecture, relative} != {None}:
                models[number] = open_lifter(
                    model,
                    label=label,
                    architecture=architecture,
                    root_relative=relative,
                    device=self.device,
                )
        return models


@dataclass(frozen=True)
class BenchmarkOcclusion(_Benchmark):
    """Measure 3D errors on motion seen by virtual cameras, with noise and joints hidden in many ways."""

    motion: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()
    """BVH, ASF/AMC, C3D, TRC or joint files, folders of these, or stores; default: procedural motion."""
    cameras: Literal["ordinary", "hard", "sideways", "upside-down"] = "ordinary"
    """Virtual cameras: as people film, nearer and steeper, or rolled."""
    quick: bool = False
    """Use some 2500 frames of the motion, from one camera each: a minute for a small model."""
    conditions: tuple[str, ...] = ()
    """Only these conditions, by their names in the table, such as "clean" "legs lost 40 frames"."""
    joint_map: Path | None = None
    """JSON file that names the joints of a skeleton, if they are not recognised (docs/training.md)."""
    undo_swaps: bool = True
    """Detect and undo swaps of left and right by the detector, as `repose estimate` does."""
    seed: Annotated[int, Within(0, 2**32 - 1)] = 0
    """Seed: of the cameras and of the detector's errors."""
    figure: Path | None = None
    """File for a figure (PNG)."""
    worst: Path | None = None
    """Folder for pictures of the first model's worst clips: at most ten, and two per condition."""

    def run(self) -> None:
        from repose.evaluation import OcclusionBenchmark, check_plot, draw_worst
        from repose.files.output import check_output

        import_modules(self.imports)
        files = wanted_files(self)
        if self.worst:
            check_plot()
            check_output(self.worst, [path.name for path in self.worst.glob("*.png")], force=self.force)
        started = time.monotonic()
        benchmark = OcclusionBenchmark(
            self.motion,
            self.models(),
            cameras=self.cameras,
            quick=self.quick,
            conditions=self.conditions,
            undo_swaps=self.undo_swaps,
            seed=self.seed,
            device=self.device,
            fit=self.fit,
            joint_map=self.joint_map,
        )
        with ProgressBars() as bars:
            report = benchmark.run(bars.report)
        show_report(report, files)
        if self.worst:
            draw_worst(benchmark, report, self.worst, force=self.force)
            echo(f"The worst clips: {self.worst}")
        echo(f"{time.monotonic() - started:.0f} s")


@dataclass(frozen=True)
class BenchmarkVideo(_Benchmark):
    """Measure 3D errors on real clips with ground truth, compared with MediaPipe's own world landmarks."""

    folder: Input
    """Folder with gt_*.npz, a video of each camera, and MediaPipe's results (docs/benchmark.md)."""
    keypoints: Literal["video", "stored"] = "video"
    """Detect keypoints in the video as `repose estimate` does, or use MediaPipe's stored next to it."""
    lens: Literal["assumed", "given"] = "assumed"
    """Whether models are told the camera's intrinsics, which the truth has."""

    def run(self) -> None:
        from repose.evaluation import benchmark_video

        import_modules(self.imports)
        files = wanted_files(self)
        with ProgressBars() as bars:
            report = benchmark_video(
                self.folder,
                self.models(),
                keypoints=self.keypoints,
                lens=self.lens,
                device=self.device,
                fit=self.fit,
                progress=bars.report,
            )
        show_report(report, files)


@dataclass(frozen=True)
class BenchmarkRendered(_Benchmark):
    """Measure 3D errors on rendered people behind objects, seen by a real detector, beside MediaPipe's 3D."""

    folder: Input
    """Folder of clips made by scripts/render/clips.py (docs/benchmark.md)."""
    lens: Literal["assumed", "given"] = "assumed"
    """Whether models are told the focal length, which is then known to a tenth."""
    seed: Annotated[int, Within(0, 2**32 - 1)] = 0
    """Seed: of the intervals."""

    def run(self) -> None:
        from repose.evaluation import benchmark_rendered

        import_modules(self.imports)
        files = wanted_files(self)
        with ProgressBars() as bars:
            report = benchmark_rendered(
                self.folder,
                self.models(),
                lens=self.lens,
                seed=self.seed,
                device=self.device,
                fit=self.fit,
                progress=bars.report,
            )
        show_report(report, files)


@dataclass(frozen=True)
class Benchmark:
    """Measure models where joints are hidden."""

    what: Annotated[
        Annotated[BenchmarkOcclusion, tyro.conf.subcommand("occlusion")]
        | Annotated[BenchmarkVideo, tyro.conf.subcommand("video")]
        | Annotated[BenchmarkRendered, tyro.conf.subcommand("rendered")],
        tyro.conf.arg(name=""),
    ]

    def run(self) -> None:
        self.what.run()
