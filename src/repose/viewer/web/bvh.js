// A person as a moving skeleton with bones of constant length: repose/export/rig.py and bvh.py, in centimetres.

import { indices, interpolateLinear, lowPass, median } from "./sequence.js";
import { toLayout } from "./lifting.js";
import { toWorld } from "./scene.js";

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const minus = (a, b) => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
const plus = (a, b) => [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
const times = (a, s) => [a[0] * s, a[1] * s, a[2] * s];
const size = (a) => Math.hypot(...a);
const unit = (a) => (size(a) ? times(a, 1 / size(a)) : [0, 0, 0]);
const apply = (R, a) => R.map((row) => dot(row, a));
const transposed = (R) => [0, 1, 2].map((i) => R.map((row) => row[i]));
const multiply = (A, B) => A.map((row) => transposed(B).map((column) => dot(row, column)));
const EYE = [[1, 0, 0], [0, 1, 0], [0, 0, 1]];

/** Rotation about a unit axis (Rodrigues). */
function turn(axis, cosine, sine) {
  const [x, y, z] = axis, K = [[0, -z, y], [z, 0, -x], [-y, x, 0]];
  return EYE.map((row, i) => row.map((one, k) => cosine * one + sine * K[i][k] + (1 - cosine) * axis[i] * axis[k]));
}

/** The smallest rotation from the direction of `from` to that of `to`; none for a vector without length. */
function swing(from, to) {
  if (!size(to) || !size(from)) return EYE;
  const a = unit(from), b = unit(to), axis = cross(a, b), sine = size(axis), cosine = dot(a, b);
  if (sine > 1e-12) return turn(times(axis, 1 / sine), cosine, sine);
  if (cosine > 0) return EYE;
  const least = a.map(Math.abs), across = EYE[least.indexOf(Math.min(...least))];
  return turn(unit(cross(a, across)), -1, 0);
}

/** Take `rest` to the direction of `bone` by the smallest swing, and `restAcross` over `across` by a twist. */
function aim(rest, restAcross, bone, across) {
  const swung = swing(rest, bone), along = apply(swung, rest), carried = apply(swung, restAcross);
  const angle = Math.atan2(dot(cross(carried, across), along), dot(carried, across));
  return multiply(turn(unit(along), Math.cos(angle), Math.sin(angle)), swung);
}

/** Rotations and offsets of the nodes, whose bones are as long as their median over the frames. */
export function fitRig(joints, fps, constants) {
  const { rig } = constants, bodies = joints.map((row) => toLayout(row, rig.weights)), names = rig.joints;
  const place = (name) => bodies.map((row) => Array.from(row.slice(3 * names.indexOf(name), 3 * names.indexOf(name) + 3)));
  const places = Object.fromEntries(names.map((name) => [name, place(name)]));
  const directions = findDirections(places, fps, rig), nodes = [];
  for (const node of rig.nodes) {
    const parent = rig.nodes.findIndex(({ name }) => name === node.parent);
    const above = parent < 0 ? joints.map(() => EYE) : nodes[parent].turned;
    const bone = node.bone && places[node.bone[1]].map((end, i) => minus(end, places[node.bone[0]][i]));
    const turned = bone ? bone.map((b, i) => aim(node.rest, node.restAcross, b, directions[node.across][i])) : above;
    const tip = bone && node.bone[0] === node.at ? times(node.rest, median(bone.map(size))) : [0, 0, 0];
    let offset = [0, 0, 0];
    if (parent >= 0) {
      const over = rig.nodes[parent];
      const apart = places[node.at].map((at, i) => apply(transposed(above[i]), minus(at, places[over.at][i])));
      const joined = over.bone && over.bone[0] === over.at && over.bone[1] === node.at;
      offset = joined ? nodes[parent].tip : [0, 1, 2].map((axis) => median(apart.map((a) => a[axis])));
    }
    nodes.push({ ...node, parent, turned, tip, offset, rotations: turned.map((R, i) => multiply(transposed(above[i]), R)) });
  }
  return { nodes, root: places.pelvis };
}

/** The directions by which bones are turned about themselves; adds to `places` where the axis of each foot ends. */
function findDirections(places, fps, rig) {
  const line = (start, end) => places[end].map((place, i) => unit(minus(place, places[start][i])));
  const hips = line("right_hip", "left_hip"), shoulders = line("right_shoulder", "left_shoulder");
  const trunk = line("spine", "thorax"), X = [1, 0, 0], Y = [0, 1, 0];
  const found = { hips, shoulders, waist: hips.map((hip, i) => plus(hip, shoulders[i])), lumbar: line("pelvis", "spine"), trunk };
  // The more two bones bend, the more the axis of their hinge is what their plane says.
  const hinge = (upper, lower, untwisted) => (
    lowPass(upper.map((bone, i) => Float64Array.from(cross(bone, lower[i]))), Math.min(1, (2 * rig.hingeHz) / fps))
      .map((axis, i) => plus(axis, times(untwisted[i], rig.prior))));
  for (const [side, x] of [["left", X], ["right", [-1, 0, 0]]]) {
    const [hip, knee, ankle, shoulder, elbow, wrist] = ["hip", "knee", "ankle", "shoulder", "elbow", "wrist"].map((name) => `${side}_${name}`);
    found[knee] = hinge(line(hip, knee), line(knee, ankle), hips);
    const [big, small] = [places[`${side}_big_toe`], places[`${side}_small_toe`]];
    if (big) {
      places[`${side}_toes`] = big.map((place, i) => plus(times(place, 0.6), times(small[i], 0.4)));
      found[ankle] = small.map((place, i) => times(minus(place, big[i]), x[0]));
    }
    const upper = line(shoulder, elbow);
    const untwisted = upper.map((bone, i) => {
      const thorax = aim(X, Y, shoulders[i], trunk[i]);
      return apply(thorax, apply(swing(x, apply(transposed(thorax), bone)), cross(x, [0, 0, 1])));
    });
    found[elbow] = hinge(upper, line(elbow, wrist), untwisted);
  }
  return found;
}

/** Euler angles of a rotation about three different axes; the middle one is between −90° and 90°. */
function euler(R, order) {
  const [first, middle, last] = Array.from(order, (axis) => "XYZ".indexOf(axis));
  const sign = (middle - first + 3) % 3 === 1 ? 1 : -1;
  const a = Math.atan2(-sign * R[middle][last], R[last][last]);
  const b = Math.atan2(sign * R[first][last], Math.hypot(R[first][first], R[first][middle]));
  const row = R[middle].map((value, i) => Math.cos(a) * value + sign * Math.sin(a) * R[last][i]);
  return [a, b, Math.atan2(sign * row[first], row[middle])];
}

/** Positions at times 1 / fps apart, for a file that stores a rate instead of times. */
function atConstantRate(joints, { frames, times: seconds, fps }) {
  const steps = seconds.map((time) => (time - seconds[0]) * fps);
  if (steps.every((step, i) => Math.abs(step - (frames[i] - frames[0])) < 0.1)) return { joints, slots: frames.map((frame) => frame - frames[0]) };
  const slots = Array.from({ length: Math.floor(steps[steps.length - 1] + 1e-6) + 1 }, (_, slot) => slot), at = indices(slots, steps);
  const there = slots.filter((slot) => frames[Math.ceil(at[slot] - 1e-6)] - frames[Math.floor(at[slot] + 1e-6)] <= 1);
  return { joints: interpolateLinear(joints, there.map((slot) => at[slot])), slots: there };
}

export function toBvh(pose, constants) {
  const world = toWorld(pose, constants).joints;
  // y up: x stays, the world's −y becomes z. Frames that the pose lacks are passed through in a straight line.
  const upright = world.map((row) => row.map((value, i) => (i % 3 === 0 ? value : i % 3 === 1 ? row[i + 1] : -row[i - 1])));
  const { joints, slots } = atConstantRate(upright, pose);
  const count = slots[slots.length - 1] - slots[0] + 1;
  const filled = interpolateLinear(joints, indices(Array.from({ length: count }, (_, slot) => slots[0] + slot), slots));
  const { nodes, root } = fitRig(filled, pose.fps, constants);
  const order = (name) => (/_(hip|knee|ankle)$/.test(name) ? "XZY" : "ZXY");
  const columns = nodes.map((node) => unwrapped(node.rotations.map((R) => euler(R, order(node.name)))));
  const lines = root.map((place, i) => [...times(place, 100), ...columns.flatMap((angles) => angles[i].map((angle) => (angle * 180) / Math.PI))]);
  const offset = (vector) => `OFFSET ${vector.map((value) => (100 * value + 0).toFixed(6)).join(" ")}`;
  const branch = (number, depth) => {
    const node = nodes[number], tab = "\t".repeat(depth), inside = `${tab}\t`;
    const channels = [...(depth ? [] : ["Xposition", "Yposition", "Zposition"]), ...Array.from(order(node.name), (axis) => `${axis}rotation`)];
    const children = nodes.flatMap(({ parent }, child) => (parent === number ? [branch(child, depth + 1)] : [])).join("");
    const end = `${inside}End Site\n${inside}{\n${inside}\t${offset(times(node.rest, node.tipM))}\n${inside}}\n`;
    return `${tab}${depth ? "JOINT" : "ROOT"} ${node.name}\n${tab}{\n${inside}${offset(node.offset)}\n`
      + `${inside}CHANNELS ${channels.length} ${channels.join(" ")}\n${children || end}${tab}}\n`;
  };
  return `HIERARCHY\n${branch(0, 0)}MOTION\nFrames: ${lines.length}\nFrame Time: ${(1 / pose.fps).toFixed(8)}\n`
    + lines.map((line) => `${line.map((value) => value.toFixed(5)).join(" ")}\n`).join("");
}

/** Angles without leaps of a whole turn. */
function unwrapped(angles) {
  const past = [0, 0, 0];
  return angles.map((row, i) => row.map((angle, k) => {
    if (i > 0) past[k] -= 2 * Math.PI * Math.round((angle - angles[i - 1][k]) / (2 * Math.PI));
    return angle + past[k];
  }));
}
