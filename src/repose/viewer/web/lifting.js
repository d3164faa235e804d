// From a 2D track to a 3D one: the steps of repose/lifting/lifter.py around the network, which is run by
// `network`. Numbers and joint layouts are those of the Python package, which writes them into `constants`.
//
// A track has `points` and `confidence` (one row a frame, in the order of the detector's joints), `frames`,
// `times` in seconds, `fps` and `size`, the picture's width and height in pixels.

import { fillGaps, indices, interpolate, interpolatePositive, median, round, toRate } from "./sequence.js";

/** Joints of the model's layout, each by the first derivation whose joints are all seen in that frame. */
export function convert(points, confidence, derivations) {
  const converted = points.map((row, frame) => {
    const place = new Float64Array(2 * derivations.length), sure = new Float64Array(derivations.length);
    derivations.forEach((options, joint) => {
      const weights = options.find((option) => option.every((weight, i) => weight === 0 || confidence[frame][i] > 0));
      if (!weights) return;
      const total = weights.reduce((sum, weight) => sum + Math.abs(weight), 0);
      weights.forEach((weight, i) => {
        place[2 * joint] += weight * row[2 * i];
        place[2 * joint + 1] += weight * row[2 * i + 1];
        sure[joint] += (Math.abs(weight) / total) * confidence[frame][i];
      });
    });
    return [place, sure];
  });
  return { points: converted.map(([place]) => place), confidence: converted.map(([, sure]) => sure) };
}

/** Cut a track at gaps that are too long, and list the missing frames of the others. */
export function segments(track, longestGap) {
  const { frames, times, fps } = track, longest = longestGap + 1.001 / fps, found = [];
  let start = 0;
  for (let i = 1; i <= frames.length; i++) {
    const steps = frames[i] - frames[i - 1], seconds = times[i] - times[i - 1];
    const apart = (seconds > longest || steps > 10 * longest * fps) && (steps > 1 || seconds > 60);
    if (i < frames.length && !apart) continue;
    const segment = listed(track, start, i);
    if (segment) found.push(segment);
    start = i;
  }
  return found;
}

function listed(track, start, stop) {
  const known = track.frames.slice(start, stop), count = known[known.length - 1] - known[0] + 1;
  const frames = Array.from({ length: count }, (_, i) => known[0] + i);
  const columns = track.confidence[0].length;
  const confidence = frames.map(() => new Float64Array(columns)), points = frames.map(() => new Float64Array(2 * columns));
  known.forEach((frame, i) => {
    confidence[frame - known[0]] = track.confidence[start + i];
    points[frame - known[0]] = track.points[start + i];
  });
  const seen = Array.from({ length: columns }, (_, joint) => confidence.map((row) => row[joint] > 0));
  const ever = seen.map((of) => of.includes(true)), number = ever.filter(Boolean).length;
  if (!number) return null;
  const filled = points.map((row) => row.slice());
  for (let joint = 0; joint < columns; joint++) {
    const places = points.map((row) => row.subarray(2 * joint, 2 * joint + 2));
    fillGaps(places, seen[joint]).forEach((place, frame) => filled[frame].set(place, 2 * joint));
  }
  for (const row of filled) {  // a joint never seen stands in the middle of the others
    const middle = [0, 1].map((axis) => ever.reduce((sum, there, i) => sum + (there ? row[2 * i + axis] : 0), 0) / number);
    ever.forEach((there, joint) => { if (!there) row.set(middle, 2 * joint); });
  }
  const at = indices(frames, known), knownTimes = track.times.slice(start, stop);
  const times = at.map((place) => {
    const low = Math.floor(place), share = place - low;
    return share ? knownTimes[low] + share * (knownTimes[low + 1] - knownTimes[low]) : knownTimes[low];
  });
  return { frames, times, points: filled, confidence, never: frames.map(() => ever.map((there) => !there)) };
}

/** First frames of windows that cover `frames` evenly and overlap by at least `overlap`. */
export function windowStarts(frames, window, overlap) {
  if (frames <= window) return [0];
  const count = Math.ceil((frames - overlap) / (window - overlap));
  return Array.from({ length: count }, (_, i) => round((i * (frames - window)) / (count - 1)));
}

/** Join windows; over `overlap` frames one fades into the next, a raised cosine. */
export function blend(windows, starts, overlap, frames) {
  const total = Array.from({ length: frames }, () => new Float64Array(windows[0][0].length));
  const weights = new Float64Array(frames), length = windows[0].length;
  const fade = (i) => 0.5 - 0.5 * Math.cos((Math.PI * (i + 0.5)) / Math.max(overlap, 1));
  windows.forEach((rows, number) => rows.forEach((row, i) => {
    let share = 1;
    if (number > 0 && i < overlap) share *= fade(i);
    if (number < starts.length - 1 && i >= length - overlap) share = fade(length - 1 - i);
    const into = total[starts[number] + i];
    for (let k = 0; k < row.length; k++) into[k] += share * row[k];
    weights[starts[number] + i] += share;
  }));
  return total.map((row, i) => row.map((value) => value / weights[i]));
}

/**
 * Lift one person. `network` takes clips, each of rows of x, y and confidence for every joint, and promises for
 * each `{ joints, deviation }`. `report` is told what share of the windows is done.
 */
export async function lift(track, network, constants, { height = null, flip = true, report = () => {} } = {}) {
  const powered = track.confidence.map((row) => row.map((value) => value ** constants.confidenceExponent));
  const body = { ...track, ...convert(track.points, powered, constants.derivations) };
  const parts = segments(body, constants.longestGap);
  const [wide, high] = track.size;
  const focal = Math.hypot(wide, high) / 2 / Math.tan((constants.fovDeg * Math.PI) / 360);
  const ray = (value, i) => (value - (i % 2 ? high : wide) / 2) / focal;
  const all = { frames: [], times: [], points: [], confidence: [], never: [], rays: [], joints: [], deviation: [] };
  const total = parts.reduce((sum, part) => sum + part.frames.length, 0);
  for (const part of parts) {
    const rays = part.points.map((row) => row.map(ray));
    const done = all.frames.length;
    const lifted = await liftSegment({ ...part, rays }, network, constants, flip, (share) => report((done + share * part.frames.length) / total));
    for (const [name, rows] of Object.entries({ ...part, rays, ...lifted })) for (const row of rows) all[name].push(row);
  }
  if (!total) return null;
  const known = new Set(track.frames);
  const metres = (height ?? constants.heightM) / median(all.joints.map((row) => stature(row, constants)));
  for (const row of all.joints) row.forEach((value, i) => { row[i] = value * metres; });
  const { root, found } = solveRoot(all.joints, all.rays, all.confidence);
  const placed = found.includes(true);
  if (placed) {
    const places = fillGaps(root, found, all.times);
    all.joints.forEach((row, frame) => row.forEach((_, i) => { row[i] += places[frame][i % 3]; }));
    all.points.forEach((row, frame) => all.never[frame].forEach((is, joint) => {
      if (!is) return;
      const [px, py, pz] = all.joints[frame].subarray(3 * joint, 3 * joint + 3);
      row.set([wide / 2 + (focal * px) / pz, high / 2 + (focal * py) / pz], 2 * joint);
    }));
  }
  const inside = (x, y) => x >= -0.5 && x <= wide - 0.5 && y >= -0.5 && y <= high - 0.5;
  return {
    frames: all.frames, times: all.times, points: all.points, confidence: all.confidence, joints: all.joints,
    deviation: all.deviation.map((row) => row.map((value) => metres * value)),
    // The detector places joints outside the picture, sure of what no camera has seen.
    seen: all.confidence.map((row, frame) => Array.from(row, (sure, joint) => (
      sure >= constants.seenConfidence && inside(all.points[frame][2 * joint], all.points[frame][2 * joint + 1])))),
    fps: track.fps, size: track.size, placed,
    intrinsics: placed ? [focal, focal, wide / 2, high / 2] : null,
    height,
    record: {
      assumed: [...(height === null ? ["height"] : []), "field of view"],
      source: track.source,
      frames_in: track.frames.length,
      frames_filled: all.frames.filter((frame) => !known.has(frame)).length,
      gaps_left_empty: leftEmpty(all.frames, track.frames),
      model_frame_rate_hz: constants.rateHz,
      flip_averaging: flip,
      confidence_exponent: constants.confidenceExponent,
      chance_within_5_percent: constants.chances,
      seen_from_confidence: constants.seenConfidence,
      repose: constants.version,
      ...(placed ? { frames_with_interpolated_root: found.filter((there) => !there).length } : {}),
    },
  };
}

/** First and last number of every gap in `frames` between the ends of the track. */
function leftEmpty(frames, known) {
  const edges = [known[0] - 1, ...frames, known[known.length - 1] + 1];
  return edges.slice(1).flatMap((frame, i) => (frame - edges[i] > 1 ? [[edges[i] + 1, frame - 1]] : []));
}

async function liftSegment(segment, network, constants, flip, report) {
  const { points, confidence, at } = toRate(segment.rays, segment.confidence, segment.times, constants.rateHz);
  const rows = points.map((row, frame) => Float64Array.from({ length: 3 * constants.mirror.length }, (_, i) => (
    i % 3 === 2 ? confidence[frame][(i - 2) / 3] : row[2 * Math.floor(i / 3) + (i % 3)])));
  const length = Math.min(constants.windowFrames, rows.length), overlap = Math.trunc(constants.overlap * constants.windowFrames);
  const starts = windowStarts(rows.length, constants.windowFrames, overlap), joints = [], deviation = [];
  for (const start of starts) {
    const window = await liftWindow(rows.slice(start, start + length), network, constants, flip);
    joints.push(window.joints);
    deviation.push(window.deviation);
    report((start + length) / rows.length);
  }
  return {
    joints: interpolate(blend(joints, starts, overlap, rows.length), at).map((row) => row.slice()),
    deviation: interpolatePositive(blend(deviation, starts, overlap, rows.length), at),
  };
}

async function liftWindow(rows, network, constants, flip) {
  const { mirror, root, deviationFactors } = constants;
  const [straight, turned] = await network(flip ? [rows, mirrored(rows, 3, mirror)] : [rows]);
  let { joints, deviation } = straight;
  if (flip) {  // the mean of joints, and of the logarithms of deviations
    const back = mirrored(turned.joints, 3, mirror);
    joints = joints.map((row, frame) => row.map((value, i) => (value + back[frame][i]) / 2));
    deviation = deviation.map((row, frame) => row.map((value, joint) => Math.sqrt(value * turned.deviation[frame][mirror[joint]])));
  }
  return {
    joints: joints.map((row) => row.map((value, i) => (Math.floor(i / 3) === root ? 0 : value))),
    deviation: deviation.map((row, frame) => row.map((value, joint) => {
      if (joint === root) return 0;
      return value * (rows[frame][3 * joint + 2] > 0 ? deviationFactors.seen : deviationFactors.hidden);
    })),
  };
}

/** Left and right exchanged, and x negated. */
function mirrored(rows, columns, mirror) {
  return rows.map((row) => row.map((_, i) => {
    const column = i % columns, value = row[columns * mirror[(i - column) / columns] + column];
    return column === 0 ? -value : value;
  }));
}

/** The joints of another layout, by the weights that make them. */
export function toLayout(row, weights) {
  return Float64Array.from({ length: 3 * weights.length }, (_, i) => (
    weights[Math.floor(i / 3)].reduce((sum, weight, joint) => (weight ? sum + weight * row[3 * joint + (i % 3)] : sum), 0)));
}

/** Standing height along the bones of legs, trunk and head, in the unit of the joints. */
export function stature(row, constants) {
  const joints = toLayout(row, constants.body.weights);
  const bones = constants.body.bones.map(([child, parent, weight]) => (
    weight * Math.hypot(...[0, 1, 2].map((axis) => joints[3 * child + axis] - joints[3 * parent + axis]))));
  return bones.reduce((sum, bone) => sum + bone) / constants.statureShare;
}

/** Where the root must be so that root-relative joints lie on their rays: weighted least squares, each frame. */
export function solveRoot(joints, rays, weights) {
  const found = [];
  const root = joints.map((row, frame) => {
    const N = [0, 0, 0, 0], right = [0, 0, 0];  // Σw, Σwx, Σwy, Σw(x² + y²)
    let sum = 0, used = 0;
    weights[frame].forEach((w, i) => {
      const x = rays[frame][2 * i], y = rays[frame][2 * i + 1];
      const u = x * row[3 * i + 2] - row[3 * i], v = y * row[3 * i + 2] - row[3 * i + 1];
      [1, x, y, x * x + y * y].forEach((value, k) => { N[k] += w * value; });
      [u, v, -x * u - y * v].forEach((value, k) => { right[k] += w * value; });
      sum += w;
      used += w > 0;
    });
    const [s, sx, sy, sxx] = N, determinant = s * (s * sxx - sx * sx - sy * sy);
    const solvable = determinant > 1e-12 * Math.max(sum, 1e-9) ** 3;
    // The first two rows give tx and ty by tz; the third one then gives tz.
    const z = solvable ? (right[2] + (sx * right[0] + sy * right[1]) / s) / (sxx - (sx * sx + sy * sy) / s) : 0;
    found.push(solvable && z > 0.1 && used >= 2);
    return found[frame] ? Float64Array.of((right[0] + sx * z) / s, (right[1] + sy * z) / s, z) : new Float64Array(3);
  });
  return { root, found };
}
