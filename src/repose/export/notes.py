"""What a user must know to read the numbers of a result correctly: assumptions, losses, doubts."""

from repose.export.about import camera_note, lens_note
from repose.pose import Pose3D
from repose.tracking.people import Dropped


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
    if ghosts := [Dropped(**ghost) for ghost in record.get("not_people", ())]:
        lines.append(
            f"Not people, and left out (--keep-all keeps them): {abbreviate([str(g) for g in ghosts])}."
        )
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
