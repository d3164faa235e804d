"""The command `repose`: subcommands, and what they say. Everything they do is in the other modules."""

import os
import sys
import time
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from repose.errors import UserError
from repose.estimate import EstimateOptions, estimate
from repose.formats import check_output, write_poses
from repose.formats.results import FILES
from repose.lift import Device
from repose.pose import Pose3D

if TYPE_CHECKING:
    from repose.data.store import ClipStore
    from repose.data.store import Progress as Report

console = Console()
complaints = Console(stderr=True)

Input = Annotated[Path, tyro.conf.Positional]
Folder = Annotated[Path, tyro.conf.arg(aliases=("-o",))]


@dataclass(frozen=True)
class Estimate:
    """Turn a video, or the 2D keypoints of any detector, into 3D poses."""

    input: Input
    """A video, a keypoint file, or a folder of OpenPose files."""
    out: Folder
    """Folder for the results: poses.npz, poses.json, poses.csv."""
    estimation: tyro.conf.OmitArgPrefixes[EstimateOptions] = field(default_factory=EstimateOptions)
    force: bool = False
    """Overwrite results that are there."""

    def run(self) -> None:
        check_output(self.out, FILES, force=self.force)
        started = time.monotonic()
        with Bars() as bars:
            poses = estimate(self.input, self.estimation, progress=bars.report)
        write_poses(poses, self.out, force=self.force)
        summarise(poses)
        frames = sum(len(pose) for pose in poses)
        console.print(
            f"{frames} frames of {people(poses)} in {time.monotonic() - started:.1f} s. "
            f"Results: {', '.join(str(self.out / name) for name in FILES)}",
            soft_wrap=True,
        )


@dataclass(frozen=True)
class Demo:
    """Run the main job on the sample video that comes with the package, and compare with the truth."""

    out: Folder = Path("demo-result")
    """Folder for the results; results of an earlier demo are overwritten."""

    def run(self) -> None:
        from repose.sample import load_sample_truth, sample_video
        from repose.sample.score import score_against

        truth = load_sample_truth()
        console.print("The sample: a rendered figure that walks behind a counter. Its true joints are known.")
        with Bars() as bars:
            poses = estimate(sample_video(), progress=bars.report)
        write_poses(poses, self.out, force=True)
        summarise(poses)
        console.print("Error of the main track against the truth, mean over frames and joints in mm:")
        table = Table(box=SIMPLE_HEAD)
        for heading in ("joints", "MPJPE", "P-MPJPE", "share"):
            table.add_column(heading, justify="left" if heading == "joints" else "right")
        for row in score_against(max(poses, key=len), truth):
            table.add_row(row.joints, f"{row.mpjpe_mm:.0f}", f"{row.p_mpjpe_mm:.0f}", f"{row.share:.0%}")
        console.print(table)
        console.print(f"Results: {', '.join(str(self.out / name) for name in FILES)}", soft_wrap=True)


@dataclass(frozen=True)
class Models:
    """List the weights that come with the package, and the architectures that checkpoints may hold."""

    def run(self) -> None:
        from repose.models import list_models

        table = Table(box=SIMPLE_HEAD)
        for heading in ("name", "architecture", "parameters", "frames", "Hz", "2D input", "weights"):
            table.add_column(
                heading, justify="right" if heading in ("parameters", "frames", "Hz") else "left"
            )
        for model in list_models():
            spec = model.spec
            table.add_row(
                model.name,
                spec.architecture,
                f"{model.parameters / 1e6:.1f} M",
                str(spec.window_frames),
                f"{spec.frame_rate_hz:g}",
                spec.normalisation,
                "packaged" if model.weights else "yours",
            )
        console.print(table)
        console.print("“packaged” weights go by name (--model NAME), yours by the path of a checkpoint.")


@dataclass(frozen=True)
class PrepareHuman36m:
    """Human3.6M: h36m_sh_conf_cam_source_final.pkl, or data_3d_h36m.npz with data_2d_h36m_*.npz."""

    file: Input
    """The .pkl, or one .npz of the pair."""
    out: Folder
    """Folder for the store."""
    file_2d: Annotated[Path | None, tyro.conf.Positional] = None
    """The other .npz of the pair."""
    force: bool = False
    """Replace a store that is there."""

    def prepare(self, progress: "Report") -> "ClipStore":
        from repose.data.prepare import prepare_human36m

        return prepare_human36m(self.file, self.file_2d, self.out, force=self.force, progress=progress)


@dataclass(frozen=True)
class PrepareMpiInf3dhp:
    """MPI-INF-3DHP: data_train_3dhp.npz and data_test_3dhp.npz, or annot.mat and annot_data.mat."""

    path: Input
    """The folder with these files, or one .npz."""
    out: Folder
    """Folder for the store."""
    force: bool = False
    """Replace a store that is there."""

    def prepare(self, progress: "Report") -> "ClipStore":
        from repose.data.prepare import prepare_mpi_inf_3dhp

        return prepare_mpi_inf_3dhp(self.path, self.out, force=self.force, progress=progress)


@dataclass(frozen=True)
class PrepareMocap:
    """Motion capture (BVH, ASF/AMC, joint files), seen by virtual cameras."""

    folder: Input
    """Folder of motion capture."""
    out: Folder
    """Folder for the store."""
    cameras: int = 4
    """Virtual cameras for every clip."""
    seed: int = 0
    """Of the cameras' places and the detector's errors."""
    detector_noise: bool = False
    """Give the 2D joints a detector's errors and confidence."""
    force: bool = False
    """Replace a store that is there."""

    def prepare(self, progress: "Report") -> "ClipStore":
        from repose.data.filmed import FilmConfig
        from repose.data.prepare import prepare_mocap

        config = FilmConfig(cameras=self.cameras, seed=self.seed, detector_noise=self.detector_noise)
        return prepare_mocap(self.folder, self.out, config, force=self.force, progress=progress)


@dataclass(frozen=True)
class PrepareSample:
    """A small store of procedural motion in the form of Human3.6M, to try everything that needs one."""

    out: Folder
    """Folder for the store."""
    seed: int = 0
    """Another seed, other motion."""
    force: bool = False
    """Replace a store that is there."""

    def prepare(self, progress: "Report") -> "ClipStore":
        from repose.data.prepare import prepare_sample

        return prepare_sample(self.out, seed=self.seed, force=self.force, progress=progress)


@dataclass(frozen=True)
class Prepare:
    """Make a clip store of a data set, to train on and to evaluate with."""

    source: Annotated[
        Annotated[PrepareHuman36m, tyro.conf.subcommand("human36m")]
        | Annotated[PrepareMpiInf3dhp, tyro.conf.subcommand("mpi-inf-3dhp")]
        | Annotated[PrepareMocap, tyro.conf.subcommand("mocap")]
        | Annotated[PrepareSample, tyro.conf.subcommand("sample")],
        tyro.conf.arg(name=""),
    ]

    def run(self) -> None:
        started = time.monotonic()
        with Bars() as bars:
            store = self.source.prepare(bars.report)
        table = Table(box=SIMPLE_HEAD)
        for heading in ("split", "sequences", "frames", "subjects"):
            table.add_column(heading, justify="right" if heading in ("sequences", "frames") else "left")
        for split in store.splits.values():
            subjects = list(dict.fromkeys(sequence.subject for sequence in split.sequences))
            table.add_row(split.name, str(len(split.sequences)), str(len(split)), _few(subjects))
        console.print(table)
        for note in (*store.manifest["notes"], f"Licence: {store.manifest['licence']}"):
            console.print(note, soft_wrap=True, highlight=False)
        console.print(
            f"Store: {store.path} ({time.monotonic() - started:.1f} s). Check it: repose doctor {store.path}",
            soft_wrap=True,
            highlight=False,
        )


@dataclass(frozen=True)
class Doctor:
    """Check a clip store: values, sides, bones, rates; and draw a sheet of samples to look at."""

    store: Input
    """Folder of the store."""
    sheet: Path | None = None
    """Where to draw the sheet (PNG); sheet.png in the store by default."""

    def run(self) -> None:
        from repose.data.doctor import examine
        from repose.data.sheet import draw_sheet
        from repose.data.store import ClipStore

        store = ClipStore.open(self.store)
        with Bars() as bars:
            findings = examine(store, progress=bars.report)
        colours = {"ok": "green", "warning": "yellow", "problem": "red"}
        table = Table(box=SIMPLE_HEAD)
        for heading in ("check", "split", "verdict", "found"):
            table.add_column(heading)
        for finding in findings:
            verdict = f"[{colours[finding.verdict]}]{finding.verdict}[/]"
            table.add_row(finding.check, finding.split, verdict, escape(finding.text))
        console.print(table)
        sheet = self.sheet or self.store / "sheet.png"
        draw_sheet(store, sheet)
        console.print(f"Samples to look at: {sheet}", soft_wrap=True, highlight=False)
        if problems := sum(finding.verdict == "problem" for finding in findings):
            raise UserError(
                f"{self.store}: {problems} {'problem' if problems == 1 else 'problems'}",
                "Look at the sheet, and at the file that the store was made from.",
            )


@dataclass(frozen=True)
class Evaluate:
    """Score a model on a prepared data set, as the papers do or as users lift it."""

    store: Input
    """Folder of the store (`repose prepare`)."""
    model: str = "default"
    """Name of packaged weights (`repose models`) or path of a checkpoint, ours or a published one."""
    protocol: Literal["published", "full"] | None = None
    """As the papers score the data set, or every frame as users lift it; for models in image units the
    first, for others the second, unless given."""
    split: str | None = None
    """Part of the store: test, or validation where there is no test."""
    architecture: str | None = None
    """Model that a published checkpoint holds, where its tensors cannot tell."""
    root_relative: bool | None = None
    """Whether the model was trained on joints relative to the root, where its tensors cannot tell."""
    fov_deg: Annotated[float | None, tyro.conf.arg(name="fov")] = None
    """Field of view of the cameras across the diagonal in degrees, for models of camera rays."""
    json: Path | None = None
    """File for all numbers and the protocol in words."""
    csv: Path | None = None
    """File for all numbers, one a row."""
    latex: Path | None = None
    """File for the rows of a table: MPJPE and P-MPJPE per action."""
    plot: Path | None = None
    """File for a plot (PNG) of the error against the detector's confidence."""
    predictions: Path | None = None
    """File (npz) for every predicted frame."""
    device: Device = "auto"
    imports: Annotated[tuple[str, ...], tyro.conf.arg(name="import")] = ()
    """Modules that register models of your own; they are looked for in this folder, too."""

    def run(self) -> None:
        from repose.data.store import ClipStore
        from repose.evaluate import check_file, check_plot, evaluate, open_model

        import_modules(self.imports)
        files = (self.json, self.csv, self.latex, self.plot, self.predictions)
        for path in filter(None, files):
            check_file(path)
        if self.plot:
            check_plot()
        store = ClipStore.open(self.store)
        lifter = open_model(
            self.model,
            store,
            architecture=self.architecture,
            root_relative=self.root_relative,
            device=self.device,
        )
        with Bars() as bars:
            report = evaluate(
                store, lifter, self.protocol, split=self.split, fov_deg=self.fov_deg, progress=bars.report
            )
        console.print(escape(report.summary()), soft_wrap=True, highlight=False)
        for table in report.tables():
            console.print(table)
        writers = (
            report.write_json,
            report.write_csv,
            report.write_latex,
            report.write_plot,
            report.write_predictions,
        )
        for file, write in zip(files, writers, strict=True):
            if file:
                write(file)
                console.print(f"Written: {file}", soft_wrap=True, highlight=False)


def train_command() -> type:
    """The command `train`; made only when asked for, since its presets take a while to import."""
    from repose.presets import PRESETS
    from repose.train import train

    presets = tyro.extras.subcommand_type_from_defaults(PRESETS, prefix_names=False)

    @dataclass(frozen=True)
    class Train:
        """Train a model from a preset; every value of it can be overridden.

        Presets for a data set need a store of it (`repose prepare`): --data.store STORE.
        """

        config: Annotated[presets, tyro.conf.arg(name="", help="Preset to start from.")]  # type: ignore[valid-type]
        out: Folder
        """Folder of the run: configuration, curves, checkpoints."""
        resume: bool = False
        """Continue the run in this folder."""
        imports: Annotated[tuple[str, ...], tyro.conf.arg(name="import")] = ()
        """Modules that register models of your own; they are looked for in this folder, too."""

        def run(self) -> None:
            # With several devices this runs once in each process; one of them speaks.
            console.quiet = complaints.quiet = os.environ.get("LOCAL_RANK", "0") != "0"
            import_modules(self.imports)
            try:
                model = train(self.config, self.out, resume=self.resume)
            except KeyboardInterrupt:
                complaints.print(f"Interrupted. Continue with the same command and --resume ({self.out}).")
                sys.exit(130)
            console.print(f"Model: {model}. Curves: tensorboard --logdir {self.out}", soft_wrap=True)

    return Train


def import_modules(names: tuple[str, ...]) -> None:
    """Import modules by name, also from the current folder; raises UserError for one that is not there."""
    sys.path.insert(0, str(Path.cwd()))
    for name in names:
        try:
            import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
            raise UserError(
                f"--import: no module is called {name!r}",
                "Give a name as in Python's import, without .py; the module may lie in this folder.",
            ) from None


@dataclass(frozen=True)
class Compare:
    """Compare training runs: runs that differ in their seed alone are one row."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of runs. The first one's row is what the others are compared with, seed by seed."""
    json: Path | None = None
    """Write the table to this file, too."""

    def run(self) -> None:
        from repose.compare import compare

        comparison = compare(self.runs)
        if self.json:
            comparison.write(self.json)
        table = Table(box=SIMPLE_HEAD)
        table.add_column("runs")
        table.add_column("seeds", justify="right")
        for name in comparison.metrics:
            table.add_column(name, justify="right")
            table.add_column("difference", justify="right")
        for group in comparison.groups:
            row = [escape(group.label), str(len(group.seeds))]
            for name in comparison.metrics:
                row += [
                    group.values[name].show(),
                    difference.show("+") if (difference := group.differences.get(name)) else "–",
                ]
            table.add_row(*row)
        console.print(table)
        for line in comparison.notes:
            console.print(line, soft_wrap=True, highlight=False)


class Bars:
    """Progress bars on the terminal, one for each thing that is done."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(
            *columns, console=complaints, transient=True, disable=not complaints.is_terminal
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "Bars":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def report(self, what: str, done: int, total: int | None) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total)
        self._progress.update(self._tasks[what], completed=done, total=total)


def summarise(poses: list[Pose3D]) -> None:
    """What was seen, what was inferred and what was assumed: a row a person, frames by number."""
    table = Table(box=SIMPLE_HEAD)
    for heading in ("person", "frames", "seconds", "seen", "filled in", "left empty", "sides put back"):
        table.add_column(heading, justify="left" if heading == "sides put back" else "right")
    for pose in poses:
        record = pose.record
        empty = [f"{first}–{last}" for first, last in record["gaps_left_empty"]]
        swaps = [
            f"{limb} {first}–{last}"
            for limb, runs in record.get("swaps_undone", {}).items()
            for first, last in runs
        ]
        table.add_row(
            str(pose.track_id),
            f"{pose.frames[0]}–{pose.frames[-1]}",
            f"{pose.times_s[0]:.1f}–{pose.times_s[-1]:.1f}",
            f"{pose.seen.mean():.0%}",
            str(record["frames_filled"]),
            _few(empty),
            _few(swaps),
        )
    console.print(table)
    for line in notes(poses):
        console.print(line, soft_wrap=True, highlight=False)


def notes(poses: list[Pose3D]) -> list[str]:
    """What a user must know to read the numbers rightly."""
    first = poses[0]
    record = first.record
    place = {
        "camera": "Joints in metres in the camera frame (x right, y down, z forward)",
        "camera-root-relative": "Joints in metres relative to the pelvis, camera axes "
        "(x right, y down, z forward)",
    }[first.coordinates]
    lines = [f"{place}; scale: {first.scale}."]
    options = {
        "fps": f"--fps ({first.fps:g})",
        "image_size": f"--size ({first.image_size[0]} {first.image_size[1]})"
        if first.image_size
        else "--size",
        "height": "--height",
        "field of view": "--fov or --intrinsics",
        "confidence": "a confidence per joint",
    }
    if assumed := [options.get(what, what) for what in record["assumed"]]:
        lines.append(f"Assumed, because nothing said it: {', '.join(assumed)}.")
    for key, what in (
        ("frames_lost_in_file", "could not be decoded"),
        ("frames_damaged_in_file", "are damaged"),
    ):
        if key in record:
            lines.append(
                f"{len(record[key])} frames of the video {what}: {_few([str(f) for f in record[key]])}."
            )
    return lines


def people(poses: list[Pose3D]) -> str:
    return "1 person" if len(poses) == 1 else f"{len(poses)} people"


def _few(words: list[str]) -> str:
    """Up to four of them, and how many more."""
    if not words:
        return "–"
    return ", ".join(words[:4]) + (f" and {len(words) - 4} more" if len(words) > 4 else "")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; errors that the user can mend end it with exit code 2."""
    arguments = sys.argv[1:] if arguments is None else arguments
    commands: dict[str, Any] = {
        "estimate": Estimate,
        "demo": Demo,
        "models": Models,
        "prepare": Prepare,
        "doctor": Doctor,
        "evaluate": Evaluate,
        "compare": Compare,
    }
    try:
        if not arguments or arguments[0] not in commands:
            commands["train"] = train_command()
        command = tyro.extras.subcommand_cli_from_dict(
            commands,
            args=arguments,
            prog="repose",
            description="3D human poses from video that stay right where joints are hidden.",
            config=(tyro.conf.CascadeSubcommandArgs,),
        )
        command.run()
    except UserError as error:
        complaints.print(f"[bold red]Error:[/] {escape(error.message)}", soft_wrap=True, highlight=False)
        if error.hint:
            complaints.print(escape(error.hint), soft_wrap=True, highlight=False)
        sys.exit(2)
    except KeyboardInterrupt:
        complaints.print("Interrupted; nothing was written.")
        sys.exit(130)
