"""Validation during training."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from repose.datasets.clips import StoreClips
from repose.errors import expected
from repose.evaluation import evaluate
from repose.evaluation.scores import Poses, mean, measure
from repose.losses import WITHIN
from repose.models import Lifted, PoseModel
from repose.skeleton import ANKLES_OF_FEET, H36M_17, H36M_FEET
from repose.synthetic.augment import resize_bones, shift_joints
from repose.synthetic.detector_errors import DetectionConfig
from repose.synthetic.motions import Batch, MotionBank, SyntheticClips, observe
from repose.synthetic.procedural import ProceduralConfig, make_motion
from repose.synthetic.virtual_camera import CameraConfig

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_WITHIN = ("within_1_deviations_percent", "within_2_deviations_percent")


class Validation:
    """A fixed set of validation clips, the same for every run.

    Exact 2D, simulated and measured errors of a detector, exact 2D of rolled cameras and of training's own
    ones, and without a limb; of a model with feet, also exact 2D without them. What is scored are the joints
    of H36M-17, and feet apart (`_feet_`, where the motion has them), so that models with and without can be
    compared: they see the same.
    """

    decides = "noisy_p_mpjpe_mm"
    """The score by which the best checkpoint is chosen."""

    def __init__(self, data: SyntheticClips, clips: int = 64) -> None:
        generator = Generator().manual_seed(20_240_930)
        motions = [clip.with_feet_m() for clip in data.validation]
        if not motions:  # procedural motion that no run trains on
            motions = list(make_motion(ProceduralConfig(clips=clips // 2), 20_240_930, H36M_FEET))
        self.clips, self.data, self.bank = clips, data, MotionBank.of(motions)
        joints = self._sample(generator)
        clean = DetectionConfig(p_clean=1.0, fast_noise=(1e-9, 1e-8), p_unsure=0.0)
        noisy = DetectionConfig(p_clean=0.0)
        usual = CameraConfig()
        self.batches = {
            "clean": observe(joints, usual, clean, generator),
            "noisy": observe(joints, usual, noisy, generator),
            "measured": observe(joints, usual, replace(noisy, p_measured=1.0), generator),
            "rolled": observe(joints, replace(usual, p_rolled=1.0), clean, generator),
            "anywhere": observe(joints, data.config.camera, clean, generator),
            "gone": observe(joints, usual, replace(clean, p_clean=0.0, p_limb_gone=1.0), generator),
        }
        if data.skeleton == H36M_FEET:
            blind = self.batches["clean"].keypoints.clone()
            blind[:, :, len(H36M_17) :] = 0
            self.batches["footless"] = replace(self.batches["clean"], keypoints=blind)

    def _sample(self, generator: Generator) -> Float[Tensor, "clips frames joints 3"]:
        step = torch.full((self.clips,), 2.0)
        joints = self.bank.sample(self.clips, self.data.frames, step, generator)
        return joints[:, :, : len(self.data.skeleton)]

    def other_bodies(self, times: int = 4) -> Iterator[Batch]:
        """Repeat the validation motion `times` times with other bodies than the training's.

        With 64 clips, the factors of a deviation would be off by a tenth.
        """
        config, generator = self.data.config, Generator().manual_seed(20_240_931)
        for _ in range(times):
            joints = resize_bones(self._sample(generator), config.bone_spread, generator)
            joints = shift_joints(joints, config.shift_m, generator)
            yield observe(joints, config.camera, config.detection, generator)

    def score(self, model: PoseModel, device: torch.device) -> dict[str, float]:
        """Measure errors in millimetres of a person 1.70 m tall; missing joints apart for the noisy clips."""
        model.eval()
        scores: dict[str, float] = {}
        for name, batch in self.batches.items():
            with torch.inference_mode():
                joints, deviation = Lifted.of(model(batch.keypoints.to(device)).double().cpu())
            body = slice(len(H36M_17))
            poses = Poses(
                predicted_mm=1000 * joints[:, :, body].flatten(0, 1).numpy(),
                truth_mm=1000 * batch.target[:, :, body].double().flatten(0, 1).numpy(),
                hidden=batch.keypoints[:, :, body, 2].flatten(0, 1).numpy() == 0,
                fps=model.spec.frame_rate_hz,
                skeleton=H36M_17,
                deviation_mm=None
                if deviation is None
                else 1000 * deviation[:, :, body].flatten(0, 1).numpy(),
            )
            if batch.known is not None and (feet := batch.known[:, len(H36M_17) :]).any():
                scores |= _feet_scores(name, joints, batch, feet)
            sums = measure(poses, ("mpjpe_mm", "p_mpjpe_mm", *_WITHIN))
            scores |= {f"{name}_{metric}": mean(sums[metric]) for metric in ("mpjpe_mm", "p_mpjpe_mm")}
            if poses.hidden.any():
                scores[f"{name}_lost_mpjpe_mm"] = mean(sums["mpjpe_mm"], "hidden")
            for metric in filter(sums.__contains__, _WITHIN):
                scores[f"{name}_{metric.removesuffix('_percent')}"] = mean(sums[metric]) / 100
        model.train()
        return scores

    def deviation_factors(self, model: PoseModel, device: torch.device) -> dict[str, float]:
        """Find `ModelSpec.deviation_factors`; none for a model without a deviation.

        Measured on the validation motion with other bodies: those of the training's own body would make
        the model too sure of everybody else's.
        """
        model.eval()
        ratios: dict[str, list[Tensor]] = {"seen": [], "hidden": []}
        for batch in self.other_bodies():
            with torch.inference_mode():
                joints, deviation = Lifted.of(model(batch.keypoints.to(device)).float().cpu())
            if deviation is None:
                break
            error = (joints - batch.target).norm(dim=-1)
            seen, moving = batch.keypoints[..., 2] > 0, error > 0  # the root is not
            if batch.known is not None:
                moving = moving & batch.known[:, None]
            ratio = error / deviation
            ratios["seen"].append(ratio[seen & moving])
            ratios["hidden"].append(ratio[~seen & moving])
        model.train()
        factors = {}
        for name, found in ratios.items():
            if sum(map(len, found)):
                bounds = [torch.cat(found).quantile(share) / count for count, share in WITHIN]
                factors[name] = round(float(torch.stack(bounds).log().mean().exp()), 3)
        return factors


def _feet_scores(
    name: str, joints: Float[Tensor, "clips frames 23 3"], batch: Batch, known: Bool[Tensor, "clips 6"]
) -> dict[str, float]:
    """Mean errors of the feet in millimetres, relative to the pelvis and to their ankles."""
    astray = joints - batch.target
    feet = astray[:, :, len(H36M_17) :]
    errors = {"mpjpe": feet, "from_ankle": feet - astray[:, :, ANKLES_OF_FEET]}
    return {
        f"{name}_feet_{what}_mm": 1000 * error.norm(dim=-1).transpose(1, 2)[known].mean().item()
        for what, error in errors.items()
    }


class StoreValidation:
    """The store's test data (or validation data if there is no test), by the published protocol.

    Raises UserError for a store without either, and one whose truth is not known in millimetres.
    """

    decides = "mpjpe_mm"
    """The score by which the best checkpoint is chosen."""

    def __init__(self, data: StoreClips) -> None:
        self.store, self.gt_2d = data.store, data.config.gt_2d
        names = [name for name in ("test", "validation") if name in self.store.splits]
        if not names:
            expected(
                f"{self.store.path}: splits", "test or validation among them", ", ".join(self.store.splits)
            )
        split = self.store.split(names[0])
        if self.store.target_kind == "image" and not {"truth_mm", "factor"} <= split.arrays.keys():
            expected(f"{self.store.path}: split {split.name}", "the truth in millimetres", "image units only")

    def score(self, model: PoseModel, device: torch.device) -> dict[str, float]:
        """Measure errors in millimetres; `device` is where the model is."""
        metrics = evaluate(self.store, model, "published", frame_pairs=False, gt_2d=self.gt_2d).scores.metrics
        return {name: metrics[name].mean for name in ("mpjpe_mm", "p_mpjpe_mm", "n_mpjpe_mm")}


def share_out(model: PoseModel, fabric: "Fabric") -> PoseModel:
    """Return the model as one whose clips all processes of the run share out; each of them must ask it.

    Every process lifts some of the clips it is given, and gets all of them.
    """
    if fabric.world_size == 1:
        return model
    for buffer in model.buffers():  # batch normalisation has seen each process's own clips
        torch.distributed.broadcast(buffer, 0)
    return _SharedOut(model, fabric)


class _SharedOut(PoseModel):
    def __init__(self, model: PoseModel, fabric: "Fabric") -> None:
        super().__init__()
        self.model, self.fabric, self.spec = model, fabric, model.spec

    def forward(
        self, keypoints: Float[Tensor, "batch frames joints 3"]
    ) -> Float[Tensor, "batch frames joints columns"]:
        clips = len(keypoints)
        each = -(-clips // self.fabric.world_size)
        first = self.fabric.global_rank * each
        own = torch.arange(first, first + each).clamp(max=clips - 1)  # as many for each: the last repeats
        mine = self.model(keypoints[own]).contiguous()
        found = [torch.empty_like(mine) for _ in range(self.fabric.world_size)]
        torch.distributed.all_gather(found, mine)
        return torch.cat(found)[:clips]
