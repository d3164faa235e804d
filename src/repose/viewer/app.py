"""The app: a static site that lifts videos in the browser, with the same numbers as this package.

The sources are ours (`web/`). The detector, ONNX Runtime and the reader of videos are fetched from npm,
pinned with their hashes, and kept in the user's cache; so is the lifter, converted to ONNX.
"""

import gzip
import hashlib
import inspect
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from secrets import token_hex
from typing import Any

import numpy as np

from repose import palette
from repose.errors import UserError, expected
from repose.export.about import FRAMES, describe
from repose.export.bvh import tip_m
from repose.export.rig import HINGE_HZ, PRIOR, nodes_for
from repose.files.output import stage
from repose.geometry.camera import ASSUMED_FOV_DEG
from repose.lifting.lifter import ASSUMED_HEIGHT_M, Lifter, chances
from repose.models import ModelSpec, load_checkpoint, packaged_weights
from repose.models.inference import OVERLAP
from repose.pose import CONFIDENCE_EXPONENT, SEEN_CONFIDENCE, Pose3D
from repose.skeleton import (
    ANKLE_HEIGHT,
    H36M_17,
    STATURE_BONES,
    STATURE_SHARE,
    Skeleton,
    conversion_matrix,
    derivations,
    get_skeleton,
)
from repose.viewer.page import COLOURS, WEB, fill_in, source_text, viewer_style
from repose.viewer.scene import FOV_DEG, VIEWS_DEG

_DETECTOR = "mediapipe-33"
_SCRIPTS = tuple(sorted(path.name for path in WEB.glob("*.js") if path.name != "page.js"))


@dataclass(frozen=True)
class _Vendor:
    """What is taken from a package of npm."""

    package: str
    within: str
    plain: tuple[str, ...]
    """Files served as they are, since the browser itself asks for them, or small."""
    zipped: tuple[str, ...]
    """Files that our scripts fetch, served compressed: any server will do."""
    licence: str = ""
    """Our copy of its licence, where the package has none."""

    @property
    def files(self) -> tuple[str, ...]:
        return self.plain + self.zipped


_VENDOR = {
    "mediapipe-pose": _Vendor(
        "@mediapipe/pose",
        "",
        ("pose.js", "pose_web.binarypb", "pose_solution_packed_assets_loader.js"),
        (
            "pose_landmark_full.tflite",
            "pose_solution_packed_assets.data",
            "pose_solution_simd_wasm_bin.js",
            "pose_solution_simd_wasm_bin.wasm",
        ),
        "apache-2.0.txt",
    ),
    "onnxruntime-web": _Vendor(
        "onnxruntime-web",
        "dist",
        (
            "ort.wasm.min.mjs",
            "ort-wasm-simd-threaded.mjs",
            "ort.jspi.min.mjs",
            "ort-wasm-simd-threaded.jspi.mjs",
        ),
        ("ort-wasm-simd-threaded.wasm", "ort-wasm-simd-threaded.jspi.wasm"),
        "onnxruntime-web.txt",
    ),
    "mediabunny": _Vendor("mediabunny", "dist/bundles", (), ("mediabunny.min.mjs",)),
}
"""By the folder in the site."""
_WITHOUT_GPU = ("ort.wasm.", "threaded.mjs", "threaded.wasm")
"""In the names of the files that a browser without WebGPU loads, in place of slightly larger ones."""


def write_app(
    folder: str | Path,
    *,
    model: str | Path = "default",
    force: bool = False,
    progress: Callable[[str], None] = lambda doing: None,
) -> int:
    """Write the site that lifts videos in the browser.

    Args:
        folder: where to write; a server of static files is all it needs.
        model: name of packaged weights, or path of a checkpoint, that takes rays and knows its deviation.
        force: replace an existing site.
        progress: called with what is being done.

    Returns:
        How many bytes a browser loads before it shows the first pose.

    Raises:
        UserError: npm is not installed or cannot fetch the packages, a model that does not fit, and an output
            that cannot be written.
    """
    folder = Path(folder)
    there = folder.is_dir() and any(folder.iterdir())
    if folder.is_file() or (there and not (force and (folder / "parts.json").is_file())):
        hint = "Choose another name; --force replaces a site that this command wrote, nothing else."
        expected(
            str(folder),
            "the name of a new or empty folder",
            "a file" if folder.is_file() else "files in it",
            hint,
        )
    progress("fetching pinned packages")
    packages = _packages()
    progress("converting the lifter")
    network, spec, name = _network(model)
    new = folder.with_name(f".{folder.name}.new-{token_hex(4)}") if folder.exists() else folder
    with stage(new, ()) as partial:
        _write_vendor(partial, packages)
        _zip(network, partial / "model.onnx.gz")
        detector = json.loads((packages / "@mediapipe/pose/package.json").read_text(encoding="utf-8"))
        numbers = app_constants(spec, name, detector["version"])
        constants = json.dumps(numbers, ensure_ascii=False, separators=(",", ":"))
        (partial / "constants.json").write_text(constants, encoding="utf-8")
        for name in (*_SCRIPTS, "app.css"):
            shutil.copyfile(WEB / name, partial / name)
        (partial / "viewer.css").write_text(viewer_style(), encoding="utf-8")
        size = _size(partial)
        files = sorted(path.name for path in (partial / "vendor" / "mediapipe-pose").iterdir())
        (partial / "parts.json").write_text(json.dumps({"bytes": size, "detector": files}))
        parts = {"viewer": source_text("viewer.html"), "megabytes": f"{size / 1e6:.0f}"}
        (partial / "index.html").write_text(fill_in(source_text("app.html"), parts), encoding="utf-8")
    if new != folder:
        shutil.rmtree(folder)
        new.rename(folder)
    return size


def _packages() -> Path:
    """Return the folder of the npm packages that the lock file pins, fetched unless they are in the cache."""
    lock = (WEB / "package-lock.json").read_bytes()
    cached = _cache() / f"npm-{hashlib.sha256(lock).hexdigest()[:16]}"
    if (cached / "complete").is_file():
        return cached / "node_modules"
    npm = shutil.which("npm")
    if npm is None:
        raise UserError(
            "the app's detector and runtime come from npm, which is not there",
            "Install Node.js with npm (https://nodejs.org), then run this again. The site needs neither.",
        )
    shutil.rmtree(cached, ignore_errors=True)
    cached.mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(WEB / name, cached / name)
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(command, cwd=cached, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise UserError(
            f"npm could not fetch the app's packages: {said[0] if said else f'exit code {done.returncode}'}",
            "They come from the registry that npm is set to (npm config get registry): check the connection.",
        )
    (cached / "complete").touch()
    return cached / "node_modules"


def _network(model: str | Path) -> tuple[bytes, ModelSpec, str]:
    """Return a model as ONNX with weights of 16 bits, its description and its name."""
    packaged = packaged_weights()
    path = Path(packaged.get(str(model), model))
    if not path.is_file():
        expected(f"model {str(model)!r}", f"a checkpoint, or one of {', '.join(packaged)}", "neither")
    network = load_checkpoint(path)
    spec = network.spec
    if (
        spec.normalisation != "rays"
        or not spec.root_relative
        or spec.fixed_window
        or not spec.config.get("deviation")
    ):
        wanted = "one that takes rays and any number of frames, and knows its deviation"
        expected(f"model {str(model)!r}", wanted, spec.name, "The packaged ones do.")
    name = str(model) if str(model) in packaged else path.name
    key = hashlib.sha256(path.read_bytes() + version("repose3d").encode()).hexdigest()[:16]
    cached = _cache() / f"lifter-{key}.onnx"
    if not cached.is_file():
        from repose.models.onnx_export import export_onnx, fill_graph

        cached.parent.mkdir(parents=True, exist_ok=True)
        graph = path.with_suffix(".onnx")  # packaged weights have one
        if path in packaged.values() and graph.is_file():
            fill_graph(graph, path, cached)
        else:
            export_onnx(network, cached, "float16")
    return cached.read_bytes(), spec, name


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "repose" / "app"


def _write_vendor(site: Path, packages: Path) -> None:
    """Copy what is taken from npm, the large files compressed, and the licences of all in the site."""
    licences = site / "licences"
    licences.mkdir()
    shutil.copyfile(WEB / "licences" / "apache-2.0.txt", licences / "repose.txt")
    lines = ["RePOSE, its scripts and its weights: Apache-2.0, repose.txt"]
    for folder, vendor in _VENDOR.items():
        into = site / "vendor" / folder
        into.mkdir(parents=True)
        for name in vendor.files:
            file = packages / vendor.package / vendor.within / name
            if name in vendor.plain:
                shutil.copyfile(file, into / name)
            else:
                _zip(file.read_bytes(), into / f"{name}.gz")
        about = json.loads((packages / vendor.package / "package.json").read_text(encoding="utf-8"))
        kept = (packages / vendor.package / "LICENSE", WEB / "licences" / vendor.licence)
        shutil.copyfile(next(path for path in kept if path.is_file()), licences / f"{folder}.txt")
        lines.append(f"{vendor.package} {about['version']}: {about['license']}, {folder}.txt")
    (licences / "index.html").write_text(
        "<!doctype html><meta charset=utf-8><title>Licences</title><h1>Licences</h1><ul>"
        + "".join(
            f'<li>{text}, <a href="{name}">{name}</a>'
            for text, name in (line.rsplit(", ", 1) for line in lines)
        )
        + "</ul>",
        encoding="utf-8",
    )


def _zip(data: bytes, path: Path) -> None:
    """Compress a file; without a time, so that the same site is the same bytes."""
    path.write_bytes(gzip.compress(data, 9, mtime=0))


def _size(site: Path) -> int:
    """Add up what a browser loads before it shows the first pose; with WebGPU, which is the most."""
    files = [path for path in site.rglob("*") if path.is_file() and path.parent.name != "licences"]
    return sum(path.stat().st_size for path in files if not any(part in path.name for part in _WITHOUT_GPU))


def app_constants(spec: ModelSpec, name: str, detector_version: str) -> dict[str, Any]:
    """Return every number and name of the package that the app's scripts need: none is written twice."""
    skeleton = get_skeleton(spec.skeleton)
    one = np.zeros((1, len(skeleton), 3), np.float32)
    nobody = Pose3D(
        joints_m=one, seen=one[..., 0] > 0, frames=np.array([0]), fps=1.0, skeleton=skeleton,
        coordinates="camera", scale="", confidence=one[..., 0], model=name,
    )  # fmt: skip
    return {
        "about": describe(nobody),
        "coordinateFrames": FRAMES,
        "version": version("repose3d"),
        "detectorVersion": detector_version,
        "joints": skeleton.joints,
        "parents": skeleton.parents,
        "mirror": skeleton.mirror,
        "root": skeleton.parents.index(-1),
        "derivations": [rows.tolist() for rows in derivations(get_skeleton(_DETECTOR), skeleton)],
        "body": {
            "weights": conversion_matrix(skeleton, H36M_17).tolist(),
            "bones": [
                (H36M_17.index(joint), H36M_17.parents[H36M_17.index(joint)], weight)
                for joint, weight in STATURE_BONES.items()
            ],
        },
        "statureShare": STATURE_SHARE,
        "ankleHeight": 0.0 if "left_heel" in skeleton.joints else ANKLE_HEIGHT,
        "rateHz": spec.frame_rate_hz,
        "windowFrames": spec.window_frames,
        "deviationFactors": {"seen": 1.0, "hidden": 1.0, **spec.deviation_factors},
        "overlap": OVERLAP,
        "longestGap": inspect.signature(Lifter.lift).parameters["max_gap_s"].default,
        "confidenceExponent": CONFIDENCE_EXPONENT[_DETECTOR],
        "chances": chances(_DETECTOR),
        "seenConfidence": SEEN_CONFIDENCE,
        "heightM": ASSUMED_HEIGHT_M,
        "fovDeg": ASSUMED_FOV_DEG,
        "rig": _rig_constants(skeleton),
        "viewFovDeg": FOV_DEG,
        "views": VIEWS_DEG,
        "colours": COLOURS,
        "pale": palette.PALE,
    }


def _rig_constants(skeleton: Skeleton) -> dict[str, Any]:
    layout, nodes = nodes_for(skeleton)
    return {
        "prior": PRIOR,
        "hingeHz": HINGE_HZ,
        "joints": layout.joints,
        "weights": conversion_matrix(skeleton, layout).tolist(),
        "nodes": [
            {
                **{name: getattr(node, name) for name in ("name", "parent", "at", "bone", "across")},
                "rest": node.rest.tolist(),
                "restAcross": node.rest_across.tolist(),
                "tipM": tip_m(node.name),
            }
            for node in nodes
        ],
    }
