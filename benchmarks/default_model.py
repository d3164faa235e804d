"""Error of a packaged model on motion capture that virtual cameras film.

    python benchmarks/default_model.py FOLDER [--model default] [--cameras 2] [--seed 0]

Every clip of FOLDER (BVH, AMC, joint files) is resampled to the model's rate and filmed by so many
cameras, drawn as in training (`repose.data.virtual_camera.CameraConfig`: yaw anyhow, pitch -15 to 45
degrees, roll 9 degrees (one sigma), 1.4 to 6 body heights away, focal length wrong by 12 % (one sigma)).
"clean" is exact 2D with confidence 1, "noisy" has a detector's errors in every clip, lost joints and
frames among them (`DetectionConfig` with p_clean=0). Errors are means over all frames of all clips,
root-relative, in millimetres of a person 1.70 m tall; P-MPJPE aligns each frame by a similarity. The
baseline answers with the picture itself: x and y of the (interpolated) 2D, z = 0.
"""

import argparse

import numpy as np
import torch

import repose
from repose.data.detection import DetectionConfig
from repose.data.mocap import read_mocap, resample
from repose.data.synthetic import see
from repose.data.virtual_camera import CameraConfig
from repose.metrics import mpjpe, p_mpjpe, per_joint_error, procrustes_align
from repose.models.person_view import person_view

CONDITIONS = {
    "clean": DetectionConfig(p_clean=1.0, fast_noise=(1e-9, 1e-8), p_unsure=0.0),
    "noisy": DetectionConfig(p_clean=0.0),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder")
    parser.add_argument("--model", default="default")
    parser.add_argument("--cameras", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    lifter = repose.load(options.model)
    clips = [resample(clip, lifter.spec.frame_rate_hz) for clip in read_mocap(options.folder)]
    frames = sum(len(clip) for clip in clips)
    print(f"{len(clips)} clips, {frames} frames, {options.cameras} cameras each, seed {options.seed}")
    print(f"{'mm':24}{'MPJPE':>8}{'P-MPJPE':>9}{'on seen':>9}{'on lost':>9}")
    for name, detection in CONDITIONS.items():
        rows: dict[str, list[tuple[np.ndarray, ...]]] = {"baseline z = 0": [], lifter.name: []}
        for number, clip in enumerate(clips):
            generator = torch.Generator().manual_seed(options.seed * 1_000_003 + number)
            joints = torch.from_numpy(clip.joints_m).expand(options.cameras, -1, -1, -1)
            batch = see(joints, CameraConfig(), detection, generator)
            flat = torch.nn.functional.pad(person_view(batch.keypoints).points, (0, 1))
            for camera in range(options.cameras):
                target = batch.target[camera].numpy()
                lost = batch.keypoints[camera, ..., 2].numpy() == 0
                picture = flat[camera] - flat[camera, :, :1]
                rows["baseline z = 0"].append(errors(picture.numpy(), target, lost))
                rows[lifter.name].append(
                    errors(lifter.lift_keypoints(batch.keypoints[camera]).numpy(), target, lost)
                )
        for model, parts in rows.items():
            plain, aligned, seen, gone = (1000 * np.concatenate(part) for part in zip(*parts, strict=True))
            # The picture has no size of its own, so it has no MPJPE either.
            first = f"{plain.mean():8.1f}" if model == lifter.name else f"{'–':>8}"
            print(f"{name + ', ' + model:24}{first}{aligned.mean():9.1f}{seen.mean():9.1f}", end="")
            print(f"{gone.mean():9.1f}" if len(gone) else f"{'–':>9}")


def errors(predicted: np.ndarray, target: np.ndarray, lost: np.ndarray) -> tuple[np.ndarray, ...]:
    """MPJPE and P-MPJPE per frame; aligned errors of the joints seen and of those lost."""
    each = per_joint_error(procrustes_align(predicted, target), target)
    return mpjpe(predicted, target), p_mpjpe(predicted, target), each[~lost], each[lost]


if __name__ == "__main__":
    main()
