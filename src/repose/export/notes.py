"""What a user must know to read the numbers of a result correctly: assumptions, losses, doubts."""

from collections.abc import Mapping
from typing import Any

from repose.export.about import CameraRecord, LensRecord
from repose.files.structured import convert
from repose.pose import Pose3D
from repose.tracking.people import Dropped

CARRIED = 0.25
"""Share of the background beyond which the camera is said to have been carried."""


def abbreviate(words: list[str]) -> str:
    """Join up to four of them, and say how many more there are."""
    if not words:
        return "–"
    return ", ".join(words[:4]) + (f" and {len(words) - 4} more" if len(words) > 4 else "")


def notes(poses: list[Pose3D]) -> list[str]:
    """Return what a user must know to read the numbers correctly."""
    first = poses[0]
    record = first.record
    lines = [f"Read {record['source']}."] if "source" in record and "detector" not in record else []
    lines += who_is_who(poses)
    place = {
        "camera": "Joints in metres in the camera frame (x right, y down, z forward)",
        "camera-root-relative": "Joints in metres relative to the pelvis, camera axes "
        "(x right, y down, z forward)",
        "world": "Joints in metres in the world frame (z up)",
    }[first.coordinates]
    lines.append(f"{place}; scale: {first.scale}.")
    options = {
        "fps": f"--fps ({first.fps:g})",
        "image_size": f"--size ({first.image_size[0]} {first.image_size[1]})"
        if first.image_size
        else "--size",
        "height": "--height",
        "field of view": "--fov or --intrinsics",
        "confidence": "a confidence per joint",
    }
    if rate := record.get("capture_fps"):
        lines.append(f"Times are real time, filmed at {rate:g} frames per second (--capture-fps).")
    if assumed := [options.get(what, what) for what in record["assumed"]]:
        lines.append(f"Assumed, since not given: {', '.join(assumed)}.")
    if lens := lens_note(record):
        lines.append(lens)
    if (every := record.get("detected_every", 1)) > 1:
        lines.append(
            f"One of {every} frames was looked at (--detect-fps); joints are inferred in the others."
        )
    lines += fit_notes(poses)
    for key, what in (
        ("frames_lost_in_file", "could not be decoded"),
        ("frames_damaged_in_file", "are damaged"),
    ):
        if key in record:
            lines.append(
                f"{len(record[key])} frames of the video {what}: {abbreviate([str(f) for f in record[key]])}."
            )
    if moving := camera_note(record):
        lines.append(moving)
    if record.get("detector") == "mediapipe" and "live" not in record:
        lines.append(
            "MediaPipe follows one person at a time: choose with --person largest, central or x,y. "
            "--detector rtmpose detects several."
        )
    return lines


def fit_notes(poses: list[Pose3D]) -> list[str]:
    """Say what fitting made of each person."""
    lines = []
    for pose in poses:
        if not (fitted := pose.record.get("fit")):
            continue
        who = f"Person {pose.track_id}" if len(poses) > 1 else "The person"
        if fitted.get("left_out"):
            lines.append(
                f"{who} is as the network has them, not fitted to the picture: {fitted['left_out']}."
            )
            continue
        before, after = fitted["before"], fitted["after"]
        lines.append(
            f"{who} was fitted to the picture: joints are {100 * after['reprojection']:.1f} % of the height "
            f"from their keypoints ({100 * before['reprojection']:.1f} % before), and bones vary by up to "
            f"{100 * after['bone_variation']:.1f} % ({100 * before['bone_variation']:.1f} % before)"
            + ("." if fitted["converged"] else "; the search ended before it was sure to have the best.")
        )
        if fitted["frames_left"]:
            frames = abbreviate([f"{first}–{last}" for first, last in fitted["frames_left"]])
            lines.append(
                f"{who} is as the network has them in frames {frames}: nothing near that agrees with the "
                "picture there."
            )
    return lines


def who_is_who(poses: list[Pose3D]) -> list[str]:
    """Say who the main person is, and what happened to detections and ids that are not people's."""
    record, lines = poses[0].record, []
    if len(poses) > 1:
        lines.append(
            f"The main person is {poses[0].track_id}: people are listed by their size in the "
            "picture and how long they are in it. Choose one with --person."
        )
    keep = "" if "live" in record else " (--keep-all keeps them)"
    if ghosts := [Dropped(**ghost) for ghost in record.get("not_people", ())]:
        lines.append(f"Not people, and left out{keep}: {abbreviate([str(g) for g in ghosts])}.")
    for pose in poses:
        if flips := pose.record.get("upside_down_left_out"):
            frames = abbreviate([f"{first}–{last}" for first, last in flips])
            lines.append(
                f"Person {pose.track_id} upside down for a moment, left out (--keep-all keeps it): {frames}."
            )
        if "no_room_for_upper_body" in pose.record:
            lines.append(
                f"Person {pose.track_id}: the picture shows only legs. Trunk, arms and head are inferred, "
                "whatever the detector reports (--keep-all trusts it)."
            )
    if "because" in record.get("identities", ""):
        lines.append("The person ids in the file change from frame to frame: people were tracked instead.")
    if changes := record.get("ids_change"):
        told = abbreviate([f"{before} becomes {after} in frame {frame}" for frame, before, after in changes])
        lines.append(f"The person ids in the file change: {told}. --track anew ignores them.")
    if count := record.get("second_detections_left_out"):
        lines.append(f"Second detections of the same person in a frame, left out: {count}.")
    return lines


def lens_note(record: Mapping[str, Any]) -> str:
    """Say how the lens is known, and what hangs on it where it is assumed; "" for a given one."""
    lens = record.get("lens")
    if lens is None:
        return ""
    lens = convert("lens", lens, LensRecord)
    field_of_view = f"a field of view of {lens.fov_deg:.0f}° across the diagonal"
    if lens.source == "calibration":
        return f"The lens is from {lens.words}: {field_of_view}."
    if lens.source == "estimated":
        doubt = lens.focal_length_deviation
        give_or_take = f"; the focal length give or take {doubt:.0%}" if doubt else ""
        return f"The lens is estimated from {lens.words}: {field_of_view}{give_or_take}."
    if lens.source == "video":
        return (
            f"The lens is the one that the video names, {lens.words} on 35 mm film: {field_of_view}. "
            "Stabilisation may have cropped it (--fov)."
        )
    if lens.source != "assumed" or lens.joints_mm is None:
        return ""
    place = ""
    if lens.distance_m is not None:
        near, far = sorted(lens.distance_m)
        place = f"the person's distance from the camera goes from {far:.1f} to {near:.1f} m, and "
    return (
        f"The lens is assumed, {field_of_view}. Between 50° and 80° {place}joints relative to the pelvis "
        f"change by {lens.joints_mm:.0f} mm (MPJPE)."
    )


def camera_note(record: Mapping[str, Any]) -> str:
    """Say what readers of positions must know of the camera, from a track's record; "" unless it moves."""
    found = convert("camera_motion", record.get("camera_motion", {}), CameraRecord)
    if not found.moves:
        return ""
    if found.turned_deg is not None:
        note = (
            f"The camera turns by up to {found.turned_deg:.0f}°, as the background shows. It was held still: "
            "positions are in the frame of the camera in the first frame. "
        )
        if found.carried > CARRIED:
            return (
                f"{note}{found.carried:.0%} of the background moves as no turn explains: the camera was "
                "carried, too. One camera cannot tell by how much, and paths lack that."
            )
        return f"{note}If it was also carried, paths lack that: one camera cannot tell."
    why = f" It was not followed: {found.not_followed}." if found.not_followed else ""
    speed = "" if found.px_per_s is None else f"about {found.px_per_s:.0f} px/s "
    return (
        f"The camera moves ({speed}in frames {found.first_frame}–{found.last_frame}): positions, and "
        f"the path, ground and up derived from them, cannot be trusted; poses can.{why}"
    )
