"""`repose prepare`, `repose doctor` and `repose evaluate`."""

import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import tyro
from rich.markup import escape

from repose.cli.terminal import (
    Folder,
    Input,
    Modules,
    ProgressBars,
    ReportFiles,
    console,
    echo,
    import_modules,
    show_report,
    table,
    wanted_files,
)
from repose.errors import UserError
from repose.export.notes import abbreviate
from repose.models.inference import Device

if TYPE_CHECKING:
    from repose.datasets.store import ClipStore
    from repose.datasets.store import Progress as Report


@dataclass(frozen=True)
class PrepareHuman36m:
    """Human3.6M: h36m_sh_conf_cam_source_final.pkl, or data_3d_h36m.npz with data_2d_h36m_*.npz."""

    file: Input
    """The .pkl, or one .npz of the pair."""
    out: Folder
    """Folder for the results: the store."""
    file_2d: Annotated[Path | None, tyro.conf.Positional] = None
    """The other .npz of the pair."""
    force: bool = False
    """Overwrite existing files."""

    def prepare(self, progress: "Report") -> "ClipStore":
        from repose.datasets.prepare import prepare_human36m

        return prepare_human36m(self.file, self.file_2d, self.out, force=self.force, progress=progress)


@dataclass(frozen=True)
class PrepareMpiInf3dhp:
    """MPI-INF-3DHP: data_train_3dhp.npz and data_test_3dhp.npz, or annot.mat and annot_data.mat."""

    path: Input
    """The folder with these files, or one .npz."""
    out: Folder
    """Folder for the results: the store."""
    force: bool = False
    """Overwrite existing files."""

    def prepare(self, progress: "Report") -> "ClipStore":
        from repose.datasets.prepare import prepare_mpi_inf_3dhp

        return prepare_mpi_inf_3dhp(self.path, self.out, force=self.force, progress=progress)


@dataclass(frozen=True)
class PrepareMocap:
    """Motion capture (BVH, ASF/AMC, C3D, TRC, joint files), seen by virtual cameras."""

    folder: Input
    """Folder of motion capture."""
    out: Folder
    """Folder for the results: the store."""
    views: int = 4
    """Virtual cameras for every clip."""
    seed: int = 0
    """Seed: of the cameras and of the detector's errors."""
    detector_noise: bool = False
    """Give the 2D joints a detector's errors and confidence."""
    joint_map: Path | None = None
    """JSON file that names the joints of a skeleton, if they are not recognised (docs/training.md)."""
    force: bool = False
    """Overwrite existing files."""

    def prepare(self, progress: "Report") -> "ClipStore":
        from repose.datasets.prepare import prepare_mocap
        from repose.datasets.projected import ProjectionConfig

        config = ProjectionConfig(
            cameras=self.views,
            seed=self.seed,
            detector_noise=self.detector_noise,
            joint_map=self.joint_map,
        )
        return prepare_mocap(self.folder, self.out, config, force=self.force, progress=progress)


@dataclass(frozen=True)
class PrepareKeypoints:
    """2D keypoints for pretraining: files of any format that `repose estimate` reads, one per video."""

    files: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Keypoint files, or folders with one JSON file per frame."""
    out: Folder
    """Folder for the results: the store."""
    fps: float | None = None
    """Frame rate of a keypoint file that does not state it; 30 is assumed."""
    size: tuple[int, int] | None = None
    """Width and height in pixels, if a keypoint file does not state them; default: from the points."""
    skeleton: str | None = None
    """Joint layout of a keypoint file that does not state it."""
    force: bool = False
    """Overwrite existing files."""

    def prepare(self, progress: "Report") -> "ClipStore":
        from repose.datasets.prepare import prepare_keypoints

        if not self.files:
            raise UserError("no keypoint files to prepare", "repose prepare keypoints FILE... -o STORE")
        return prepare_keypoints(
            self.files,
            self.out,
            fps=self.fps,
            image_size=self.size,
            skeleton=self.skeleton,
            force=self.force,
            progress=progress,
        )


@dataclass(frozen=True)
class PrepareSample:
    """A small store of procedural motion in the form of Human3.6M, to try out whatever needs a store."""

    out: Folder
    """Folder for the results: the store."""
    seed: int = 0
    """Seed: of the motion."""
    force: bool = False
    """Overwrite existing files."""

    def prepare(self, progress: "Report") -> "ClipStore":
        from repose.datasets.prepare import prepare_sample

        return prepare_sample(self.out, seed=self.seed, force=self.force, progress=progress)


@dataclass(frozen=True, kw_only=True)
class PrepareFolder:
    """A data set that is a folder, in its published layout (docs/datasets.md)."""

    folder: Input
    """Folder of the data set."""
    out: Folder
    """Folder for the results: the store."""
    force: bool = False
    """Overwrite existing files."""

    dataset: ClassVar[str]

    def prepare(self, progress: "Report") -> "ClipStore":
        from repose.datasets.prepare import prepare_folder

        own = {field.name: getattr(self, field.name) for field in fields(self)}
        options = {name: value for name, value in own.items() if name not in ("folder", "out", "force")}
        return prepare_folder(
            self.dataset, self.folder, self.out, force=self.force, progress=progress, **options
        )


@dataclass(frozen=True, kw_only=True)
class PrepareBodies(PrepareFolder):
    """A data set of body models, which are licensed apart."""

    body_models: Path
    """Folder of the body models: smplh/GENDER/model.npz and dmpls/GENDER/model.npz for AMASS,
    smpl/GENDER/model.npz for 3DPW."""
    regressor: Path
    """J_regressor_h36m.npy: the joints of Human3.6M from the skin."""


@dataclass(frozen=True, kw_only=True)
class PrepareAmass(PrepareBodies):
    """AMASS (SMPL+H), as MotionBERT pretrains on it; needs the licensed body models."""

    dataset = "amass"


@dataclass(frozen=True, kw_only=True)
class PreparePoseTrack18(PrepareFolder):
    """PoseTrack18, 2D for pretraining: the folder of its annotations, one JSON file per video."""

    dataset = "posetrack18"


@dataclass(frozen=True, kw_only=True)
class PrepareInstaVariety(PrepareFolder):
    """InstaVariety, 2D for pretraining: its tracks, or motion_all.npy and id_all.npy."""

    dataset = "instavariety"


@dataclass(frozen=True, kw_only=True)
class Prepare3dpw(PrepareBodies):
    """3DPW (sequenceFiles), and its occluded subset; needs the licensed body models."""

    dataset = "3dpw"
    occluded: bool = False
    """Only 3DPW-OC, the sequences in which objects hide people, as the split "test"."""


@dataclass(frozen=True, kw_only=True)
class PrepareAist(PrepareFolder):
    """AIST++: the folder of its annotations."""

    dataset = "aist++"


@dataclass(frozen=True, kw_only=True)
class PrepareBlendMimic3d(PrepareFolder):
    """BlendMimic3D: the folder that has S1, S2 and S3."""

    dataset = "blendmimic3d"
    sides: Literal["as-made", "as-said"] = "as-made"
    """Left and right by the joints' names, or in Human3.6M's order, as said (exchanged)."""
    flags: Literal["as-made", "as-said"] = "as-made"
    """A flag of 1 is a visible joint, or an occluded one, as said."""


@dataclass(frozen=True)
class Prepare:
    """Create a clip store from a data set, for training and evaluation."""

    source: Annotated[
        Annotated[PrepareHuman36m, tyro.conf.subcommand("human36m")]
        | Annotated[PrepareMpiInf3dhp, tyro.conf.subcommand("mpi-inf-3dhp")]
        | Annotated[Prepare3dpw, tyro.conf.subcommand("3dpw")]
        | Annotated[PrepareAist, tyro.conf.subcommand("aist++")]
        | Annotated[PrepareBlendMimic3d, tyro.conf.subcommand("blendmimic3d")]
        | Annotated[PrepareAmass, tyro.conf.subcommand("amass")]
        | Annotated[PreparePoseTrack18, tyro.conf.subcommand("posetrack18")]
        | Annotated[PrepareInstaVariety, tyro.conf.subcommand("instavariety")]
        | Annotated[PrepareMocap, tyro.conf.subcommand("mocap")]
        | Annotated[PrepareKeypoints, tyro.conf.subcommand("keypoints")]
        | Annotated[PrepareSample, tyro.conf.subcommand("sample")],
        tyro.conf.arg(name=""),
    ]

    def run(self) -> None:
        started = time.monotonic()
        with ProgressBars() as bars:
            store = self.source.prepare(bars.report)
        rows = table("split", "sequences", "frames", "subjects", right=("sequences", "frames"))
        for split in store.splits.values():
            subjects = list(dict.fromkeys(sequence.subject for sequence in split.sequences))
            rows.add_row(split.name, str(len(split.sequences)), str(len(split)), abbreviate(subjects))
        console.print(rows)
        for note in (*store.manifest["notes"], f"Licence: {store.manifest['licence']}"):
            echo(note)
        echo(
            f"Store: {store.path} ({time.monotonic() - started:.1f} s). Check it: repose doctor {store.path}"
        )


@dataclass(frozen=True)
class Doctor:
    """Check a clip store: values, sides, bones, rates; and draw a sheet of samples for inspection."""

    store: Input
    """Folder of the store."""
    sheet: Path | None = None
    """File for a sheet (PNG); default: sheet.png in the store."""

    def run(self) -> None:
        from repose.datasets.doctor import examine
        from repose.datasets.gallery import draw_sheet
        from repose.datasets.store import ClipStore

        store = ClipStore.open(self.store)
        with ProgressBars() as bars:
            findings = examine(store, progress=bars.report)
        colours = {"ok": "green", "warning": "yellow", "problem": "red"}
        rows = table("check", "split", "verdict", "found")
        for finding in findings:
            verdict = f"[{colours[finding.verdict]}]{finding.verdict}[/]"
            rows.add_row(finding.check, finding.split, verdict, escape(finding.text))
        console.print(rows)
        sheet = self.sheet or self.store / "sheet.png"
        draw_sheet(store, sheet)
        echo(f"Samples: {sheet}")
        if problems := sum(finding.verdict == "problem" for finding in findings):
            raise UserError(
                f"{self.store}: {problems} {'problem' if problems == 1 else 'problems'}",
                "Inspect the sheet, and the file that the store was made from.",
            )


@dataclass(frozen=True, kw_only=True)
class Evaluate(ReportFiles):
    """Score a model on a prepared data set, by the published protocol or on every frame as users lift."""

    store: Input
    """Folder of the store (`repose prepare`)."""
    model: str = "default"
    """Model: name of packaged weights (`repose models`) or path of a checkpoint, ours or a published one."""
    label: str | None = None
    """Name in the results; default: the file's."""
    protocol: Literal["published", "videopose3d", "full"] | None = None
    """The data set's published protocol, VideoPose3D's (every frame, in windows), or every frame as users
    lift; default: published for models in image units, full for others."""
    gt_2d: bool = False
    """Give the model the truth's own x and y, with confidence 1, in place of the detections."""
    no_conf: bool = False
    """Keep from the model how sure the detector is of each joint: it sees 1 everywhere."""
    split: str | None = None
    """Split of the store; default: test, or validation if there is no test."""
    architecture: str | None = None
    """Model in a published checkpoint, if its tensors do not determine it."""
    root_relative: bool | None = None
    """Whether joints are relative to the root, if the model's tensors do not determine it."""
    fov_deg: Annotated[float | None, tyro.conf.arg(name="fov")] = None
    """The camera's field of view across the diagonal, in degrees; for models of camera rays."""
    latex: Path | None = None
    """File for the rows of a table: MPJPE and P-MPJPE per action."""
    figure: Path | None = None
    """File for a figure (PNG) of the error against the detector's confidence."""
    predictions: Path | None = None
    """File (npz) for every predicted frame."""
    device: Device = "auto"
    imports: Modules = ()
    """Modules that register your own models; the current folder is searched, too."""

    def run(self) -> None:
        from repose.datasets.store import ClipStore
        from repose.evaluation import evaluate, open_model

        import_modules(self.imports)
        files = wanted_files(self)
        store = ClipStore.open(self.store)
        lifter = open_model(
            self.model,
            store,
            label=self.label,
            architecture=self.architecture,
            root_relative=self.root_relative,
            confidence=False if self.no_conf else None,
            device=self.device,
        )
        with ProgressBars() as bars:
            report = evaluate(
                store,
                lifter,
                self.protocol,
                split=self.split,
                fov_deg=self.fov_deg,
                gt_2d=self.gt_2d,
                progress=bars.report,
            )
        show_report(report, files)
