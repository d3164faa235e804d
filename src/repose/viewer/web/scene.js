// A lifted person in the world of the viewer: upright on the ground, as repose/export/upright.py and
// repose/viewer/scene.py put them.

import { fillGaps, lowPass, median, percentile } from "./sequence.js";
import { stature } from "./lifting.js";

/** The transform to a world with z up, in which the person stands on the ground and begins above the origin. */
export function toWorld(pose, constants) {
  // The camera is taken to be level: its y is down, its z is away.
  const turn = (x, y, z) => [x, z, -y];
  const root = 3 * constants.root, [x, y] = turn(...pose.joints[0].slice(root, root + 3));
  const floor = floorHeight(pose, constants);
  // Who is held at the pelvis stays there, but for the ground.
  const shift = [-x, -y, -floor];
  return {
    joints: pose.joints.map((row) => row.map((_, i) => turn(...row.slice(i - (i % 3), i - (i % 3) + 3))[i % 3] + shift[i % 3])),
    shift,
  };
}

/** Height of the floor above the camera: where the lowest joint is, the median over frames in which it is seen. */
function floorHeight(pose, constants) {
  const ankle = constants.ankleHeight * median(pose.joints.map((row) => stature(row, constants)));
  const lowest = pose.joints.map((row, frame) => {
    let height = Infinity, at = 0;
    constants.joints.forEach((name, joint) => {
      const reach = -row[3 * joint + 1] - (/_(ankle|wrist)$/.test(name) ? ankle : 0);
      if (reach < height) [height, at] = [reach, joint];
    });
    return { height, seen: pose.seen[frame][at] };
  });
  const sure = lowest.filter(({ seen }) => seen);
  return median((sure.length ? sure : lowest).map(({ height }) => height));
}

/** What viewer.js draws. `film` has the times of the frames in a video that it shows, or is null. */
export function makeScene(pose, constants, { title, notes, film = null, picture = null, live = false }) {
  const { joints, shift } = toWorld(pose, constants), first = pose.frames[0];
  const count = pose.frames[pose.frames.length - 1] - first + 1;
  const rowOf = new Int32Array(count).fill(-1);
  pose.frames.forEach((frame, row) => { rowOf[frame - first] = row; });
  const there = Array.from(rowOf, (row) => row >= 0);
  const filled = (rows, empty) => fillGaps(Array.from(rowOf, (row) => (row < 0 ? empty : rows[row])), there);
  const corner = (pick) => joints.map((row) => Float64Array.from([0, 1, 2], (axis) => pick(...row.filter((_, i) => i % 3 === axis))));
  const low = corner(Math.min), high = corner(Math.max);
  const middle = low.map((row, i) => row.map((value, axis) => (value + high[i][axis]) / 2));
  const centre = lowPass(filled(middle, new Float64Array(3)), Math.min(1, 1 / pose.fps));
  const reach = low.map((row, i) => {
    const at = centre[pose.frames[i] - first];
    return Math.hypot(...row.map((value, axis) => Math.max(high[i][axis] - at[axis], at[axis] - value)));
  });
  const runs = [];
  pose.frames.forEach((frame, row) => {
    const run = runs[runs.length - 1];
    if (run && frame - first === run[0] + run[1]) run[1]++;
    else runs.push([frame - first, 1, row]);
  });
  const flat = (rows, Kind = Float32Array) => Kind.from(rows.flatMap((row) => Array.from(row, Number)));
  const camera = pose.placed ? {
    K: [[pose.intrinsics[0], 0, pose.intrinsics[2]], [0, pose.intrinsics[1], pose.intrinsics[3]], [0, 0, 1]],
    // Takes the world to the camera: x stays, down is −z, away is y.
    T: [[1, 0, 0, -shift[0]], [0, 0, -1, shift[2]], [0, 1, 0, -shift[1]], [0, 0, 0, 1]],
  } : null;
  const place = camera ? [shift[0], shift[1]] : [0, -1], sum = centre.reduce(([x, y], row) => [x + row[0], y + row[1]], [0, 0]);
  return {
    title, notes, film, picture, live, first, camera,
    fps: pose.fps, size: pose.size, fov: constants.viewFovDeg, views: constants.views,
    colours: constants.colours, pale: constants.pale,
    facing: camera ? Math.atan2(place[1] - sum[1] / count, place[0] - sum[0] / count) : -Math.PI / 2,
    radius: Math.max(0.5, Math.min(percentile(reach, 0.95), 1.2 * median(reach))),
    times: Float32Array.from(filled(pose.times.map((time) => [time]), [0]), ([time]) => time),
    centre: flat(centre),
    figures: [{
      name: "person 0", size: constants.joints.length, root: constants.root, partner: null, compared: false, runs,
      colour: constants.colours.middle,
      colours: constants.joints.map((name) => constants.colours[name.split("_")[0]] || constants.colours.middle),
      bones: constants.parents.flatMap((parent, child) => (parent < 0 ? [] : [[child, parent]])),
      joints: flat(joints), seen: flat(pose.seen, Uint8Array), points: flat(pose.points), deviation: flat(pose.deviation),
    }],
  };
}
