// A lifted person as files, with the fields, units and digits of repose/export/results.py.

const digits = (value, places) => Number(value.toFixed(places));

/** Everything about a track except its numbers per frame. */
export function describe(pose, constants) {
  const coordinates = pose.placed ? "camera" : "camera-root-relative";
  return {
    ...constants.about, coordinates, coordinate_frame: constants.coordinateFrames[coordinates], fps: pose.fps,
    scale: scaleOf(pose, constants), image_size: pose.size, intrinsics_px: pose.intrinsics, record: pose.record,
  };
}

/** Where the scale comes from, in the words of every output. */
export function scaleOf({ height }, { heightM }) {
  return height === null ? `assumed height ${heightM.toFixed(2)} m` : `given height ${height} m`;
}

export function toJson(pose, constants) {
  const about = JSON.stringify(describe(pose, constants), null, 1).slice(0, -2);
  const triples = (row, size, places) => Array.from({ length: row.length / size }, (_, i) => (
    Array.from(row.slice(size * i, size * i + size), (value) => digits(value, places))));
  const poses = pose.frames.map((frame, row) => JSON.stringify({
    frame, time_s: digits(pose.times[row], 6),
    joints_m: triples(pose.joints[row], 3, 5),
    seen: pose.seen[row],
    confidence: Array.from(pose.confidence[row], (value) => digits(value, 4)),
    deviation_m: Array.from(pose.deviation[row], (value) => digits(value, 4)),
    points_px: triples(pose.points[row], 2, 2),
  }));
  const { format, version } = constants.about;
  return `{"format": ${JSON.stringify(format)}, "version": ${version}, "tracks": [\n${about},\n "poses": [\n  ${poses.join(",\n  ")}\n ]}\n]}\n`;
}

export function toCsv(pose, constants) {
  const columns = ["x_m", "y_m", "z_m", "deviation_m", "seen", "confidence", "u_px", "v_px"];
  const header = ["track_id", "frame", "time_s", ...constants.joints.flatMap((joint) => columns.map((column) => `${joint}_${column}`)), "about"];
  const about = `"${JSON.stringify(describe(pose, constants)).replaceAll('"', '""')}"`;
  const lines = pose.frames.map((frame, row) => {
    const cells = constants.joints.flatMap((_, i) => [
      ...Array.from(pose.joints[row].slice(3 * i, 3 * i + 3), (value) => value.toFixed(5)),
      pose.deviation[row][i].toFixed(4), Number(pose.seen[row][i]), pose.confidence[row][i].toFixed(4),
      ...Array.from(pose.points[row].slice(2 * i, 2 * i + 2), (value) => value.toFixed(2)),
    ]);
    return [0, frame, pose.times[row].toFixed(6), ...cells, row === 0 ? about : ""].join();
  });
  return `${[header.join(), ...lines].join("\n")}\n`;
}
