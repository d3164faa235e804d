"use strict";

// Draws a scene and lets it be played. The page that shows a result and the app share this. What a scene is:
// `page.py`, which packs one, `page.js`, which unpacks it, and `scene.js`, which makes one of a pose.

const $ = (selector) => document.querySelector(selector);
const film = $("#film");
const flat = $("#flat canvas"), space = $("#space canvas");
const BONE_M = 0.017, TRAIL_S = 2;
const state = {
  frame: 0, playing: false, speed: 1, dirty: true, started: 0, from: 0, film: false,
  azimuth: 0, elevation: 0, distance: 1, pan: [0, 0, 0],
  show: { overlay: true, picture: true, deviation: true, trail: true, ground: true, camera: true, names: true,
          compared: true, together: true, follow: true },
};
let scene, colours, times, centre, count = 0;

function setScene(next) {
  scene = next;
  if (!scene) return;
  ({ colours, times, centre } = scene);
  count = times.length;
}

/** The row of a figure in a frame, -1 where it is absent: found among its runs of first frame, length, first row. */
function rowAt(figure, frame) {
  let low = 0, high = figure.runs.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1, [first, length, row] = figure.runs[middle];
    if (frame < first) high = middle - 1;
    else if (frame >= first + length) low = middle + 1;
    else return row + frame - first;
  }
  return -1;
}

const joint = (figure, row, index) => {
  const i = 3 * (row * figure.size + index);
  return [figure.joints[i], figure.joints[i + 1], figure.joints[i + 2]];
};
const plus = (a, b) => [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
const minus = (a, b) => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
const times3 = (a, s) => [a[0] * s, a[1] * s, a[2] * s];
const centreAt = (frame) => [centre[3 * frame], centre[3 * frame + 1], centre[3 * frame + 2]];

/** Joints of a figure now, in the world; null where it is absent. */
function jointsNow(figure) {
  const row = rowAt(figure, state.frame);
  if (row < 0) return null;
  let move = [0, 0, 0];
  if (figure.compared && state.show.together) {
    const partner = scene.figures[figure.partner], there = rowAt(partner, state.frame);
    if (there >= 0) move = minus(joint(partner, there, partner.root), joint(figure, row, figure.root));
  }
  return Array.from({ length: figure.size }, (_, index) => plus(joint(figure, row, index), move));
}

// Colours

const mixed = (colour, ground, share) => {
  const parts = [colour, ground].map((hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)));
  return `rgb(${parts[0].map((value, i) => Math.round(value * share + parts[1][i] * (1 - share))).join()})`;
};
const pale = (colour) => mixed(colour, colours.paper, scene.pale);

// Drawing

function surface(canvas) {
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  const width = Math.round(canvas.clientWidth * ratio), height = Math.round(canvas.clientHeight * ratio);
  if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
  const pen = canvas.getContext("2d");
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.lineCap = pen.lineJoin = "round";
  return { pen, width, height, ratio };
}

function stroke(pen, colour, width, ...points) {
  pen.strokeStyle = colour;
  pen.lineWidth = width;
  pen.beginPath();
  points.forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  pen.stroke();
}

function disc(pen, [x, y], radius, colour) {
  pen.fillStyle = colour;
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  pen.fill();
}

/** Bones and joints, the far ones first; what was inferred is pale, its joints are rings. */
function drawSkeleton(pen, figure, row, places, depths, radii) {
  const known = (i) => figure.compared || figure.seen[row * figure.size + i];
  const nearest = depths.slice();
  const parts = figure.bones.map(([child, parent]) => {
    const depth = (depths[child] + depths[parent]) / 2;
    nearest[child] = Math.min(nearest[child], depth);
    nearest[parent] = Math.min(nearest[parent], depth);
    return { depth, child, parent };
  });
  places.forEach((_, child) => parts.push({ depth: nearest[child] - 1e-3, child, parent: -1 }));
  parts.sort((a, b) => b.depth - a.depth);
  for (const { child, parent } of parts) {
    const colour = figure.colours[child];
    if (parent < 0) {
      const radius = 1.35 * radii[child];
      disc(pen, places[child], radius + Math.max(1, 0.3 * radii[child]), colours.paper);
      disc(pen, places[child], radius, colour);
      if (!known(child)) disc(pen, places[child], 0.75 * radii[child], colours.paper);
    } else {
      const width = radii[child] + radii[parent];
      stroke(pen, colours.paper, width + Math.max(2, 0.3 * width), places[child], places[parent]);
      stroke(pen, known(child) && known(parent) ? colour : pale(colour), width, places[child], places[parent]);
    }
  }
}

function drawName(pen, figure, places, ratio) {
  if (!state.show.names || figure.compared || scene.figures.filter((f) => !f.compared).length < 2) return;
  const x = places.reduce((sum, place) => sum + place[0], 0) / places.length;
  const y = Math.min(...places.map((place) => place[1])) - 14 * ratio;
  pen.font = `600 ${13 * ratio}px system-ui, sans-serif`;
  pen.textAlign = "center";
  pen.lineWidth = 4 * ratio;
  pen.strokeStyle = colours.paper;
  pen.strokeText(figure.name, x, y);
  pen.fillStyle = figure.colour;
  pen.fillText(figure.name, x, y);
}

/** The picture of the frame that is shown, null without: the film's, or one that the scene itself has. */
function picture() {
  if (!state.show.picture) return null;
  if (scene.picture) return scene.picture(state.frame);
  return state.film && film.readyState >= 2 ? film : null;
}

function drawFlat() {
  if ($("#flat").hidden) return;
  const { pen, width, height, ratio } = surface(flat);
  const [wide, high] = scene.size;
  const scale = Math.min(width / wide, height / high);
  const left = (width - wide * scale) / 2, top = (height - high * scale) / 2;
  pen.fillStyle = colours.ink;
  pen.fillRect(left, top, wide * scale, high * scale);
  const shown = picture();
  if (shown) pen.drawImage(shown, left, top, wide * scale, high * scale);
  if (!state.show.overlay) return;
  for (const figure of scene.figures) {
    const row = rowAt(figure, state.frame);
    if (!figure.points || row < 0) continue;
    const places = Array.from({ length: figure.size }, (_, i) => {
      const at = 2 * (row * figure.size + i);
      return [left + figure.points[at] * scale, top + figure.points[at + 1] * scale];
    });
    const reach = Math.max(...[0, 1].map((axis) => {
      const along = places.map((place) => place[axis]);
      return Math.max(...along) - Math.min(...along);
    }));
    const radius = Math.min(Math.max(reach / 140, 1.2 * ratio), 4 * ratio);
    drawSkeleton(pen, figure, row, places, places.map(() => 0), places.map(() => radius));
    drawName(pen, figure, places, ratio);
  }
}

// The 3D view: an orbiting camera. Right, down and forward are its axes, as everywhere in RePOSE.

function eye(width, height) {
  const flatness = Math.cos(state.elevation);
  const away = [flatness * Math.cos(state.azimuth), flatness * Math.sin(state.azimuth), Math.sin(state.elevation)];
  const right = [-Math.sin(state.azimuth), Math.cos(state.azimuth), 0];
  const down = [away[2] * Math.cos(state.azimuth), away[2] * Math.sin(state.azimuth), -flatness];
  const target = plus(state.show.follow ? centreAt(state.frame) : centreAt(0), state.pan);
  const half = Math.tan((scene.fov * Math.PI) / 360);
  const focal = height / 2 / half / Math.max(1, (height / width) * 0.9);
  const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
  const see = (place) => {
    const inside = minus(place, target), depth = state.distance - dot(inside, away);
    if (depth < 0.05) return null;
    return [width / 2 + (dot(inside, right) * focal) / depth, height / 2 + (dot(inside, down) * focal) / depth, depth];
  };
  return { see, right, down, target, focal };
}

function drawSpace() {
  const { pen, width, height, ratio } = surface(space);
  const { see, target, focal } = eye(width, height);
  const seeAll = (places) => {
    const found = places.map(see);
    return found.every(Boolean) ? found : null;
  };
  if (state.show.ground) drawGround(pen, see, target, ratio);
  const present = [];
  for (const figure of scene.figures) {
    if (figure.compared && !state.show.compared) continue;
    const joints = jointsNow(figure);
    const places = joints && seeAll(joints);
    if (places) present.push({ figure, joints, places, depth: places.reduce((sum, p) => sum + p[2], 0) / places.length });
  }
  if (state.show.ground) {
    for (const { figure, joints } of present) {
      const shadow = seeAll(joints.map(([x, y]) => [x, y, 0]));
      if (shadow) for (const [a, b] of figure.bones) stroke(pen, colours.shadow, (2.4 * BONE_M * focal) / shadow[a][2], shadow[a], shadow[b]);
    }
  }
  if (state.show.camera && scene.camera) drawCamera(pen, see, ratio);
  if (state.show.trail) for (const figure of scene.figures) if (!figure.compared) drawTrail(pen, figure, see, ratio);
  present.sort((a, b) => b.figure.compared - a.figure.compared || b.depth - a.depth);
  for (const { figure, places } of present) {
    const row = rowAt(figure, state.frame);
    if (figure.deviation && state.show.deviation && !figure.compared) {
      pen.globalAlpha = 0.2;
      places.forEach((place, i) => {
        const at = row * figure.size + i;
        // The root has none; packed, that may be a hair below 0.
        const radius = (Math.max(0, figure.deviation[at]) * focal) / place[2];
        if (!figure.seen[at]) disc(pen, place, radius, figure.colours[i]);
      });
      pen.globalAlpha = 1;
    }
    drawSkeleton(pen, figure, row, places, places.map((p) => p[2]), places.map((p) => (BONE_M * focal) / p[2]));
    drawName(pen, figure, places, ratio);
  }
}

/** Squares of half a metre around what is looked at, fading with distance. */
function drawGround(pen, see, target, ratio) {
  const step = 0.5, reach = Math.max(2, 2.2 * scene.radius);
  const [x0, y0] = [0, 1].map((axis) => Math.floor((target[axis] - reach) / step) * step);
  const steps = Math.ceil((2 * reach) / step) + 1;
  for (let line = 0; line <= steps; line++) {
    for (let piece = 0; piece < steps; piece++) {
      for (const flip of [false, true]) {
        const place = (i) => (flip ? [x0 + i * step, y0 + line * step, 0] : [x0 + line * step, y0 + i * step, 0]);
        const a = place(piece), b = place(piece + 1);
        const share = 1 - Math.hypot((a[0] + b[0]) / 2 - target[0], (a[1] + b[1]) / 2 - target[1]) / reach;
        const ends = share > 0 && [see(a), see(b)];
        if (ends && ends[0] && ends[1]) stroke(pen, mixed(colours.grid, colours.paper, Math.min(1, 1.5 * share)), ratio, ...ends);
      }
    }
  }
}

function drawTrail(pen, figure, see, ratio) {
  let before = null;
  for (let frame = state.frame; frame >= 0 && times[frame] > times[state.frame] - TRAIL_S; frame--) {
    const row = rowAt(figure, frame), place = row < 0 ? null : see(joint(figure, row, figure.root));
    if (place && before) {
      const share = 1 - (times[state.frame] - times[frame]) / TRAIL_S;
      stroke(pen, mixed(figure.colour, colours.paper, 0.7 * share), 2 * ratio, before, place);
    }
    before = place;
  }
}

/** A place before the camera that filmed, in the world. */
function cameraPlace(inside) {
  const { T } = scene.camera, moved = inside.map((value, axis) => value - T[axis][3]);
  return [0, 1, 2].map((axis) => T[0][axis] * moved[0] + T[1][axis] * moved[1] + T[2][axis] * moved[2]);
}

/** The camera that filmed, with its picture at a quarter of the way to the people. */
function drawCamera(pen, see, ratio) {
  const { K } = scene.camera, [wide, high] = scene.size;
  const origin = cameraPlace([0, 0, 0]), ahead = minus(centreAt(0), origin);
  const depth = Math.max(0.3, Math.hypot(...ahead) / 4);
  const corner = (u, v) => see(cameraPlace([((u * wide - K[0][2]) / K[0][0]) * depth, ((v * high - K[1][2]) / K[1][1]) * depth, depth]));
  const corners = [corner(0, 0), corner(1, 0), corner(1, 1), corner(0, 1)], tip = see(origin);
  if (!tip || !corners.every(Boolean)) return;
  const shown = picture();
  if (shown) drawPicture(pen, corner, shown);
  for (const place of corners) stroke(pen, colours.frame, 1.5 * ratio, tip, place);
  stroke(pen, colours.frame, 1.5 * ratio, ...corners, corners[0]);
}

/** A picture on a slanted rectangle: small triangles, each of which is slanted evenly. */
function drawPicture(pen, corner, shown) {
  const cells = 8, wide = shown.videoWidth || shown.width, high = shown.videoHeight || shown.height;
  const grid = Array.from({ length: cells + 1 }, (_, v) => Array.from({ length: cells + 1 }, (_, u) => corner(u / cells, v / cells)));
  const w = wide / cells, h = high / cells;
  for (let v = 0; v < cells; v++) for (let u = 0; u < cells; u++) for (const upper of [true, false]) {
    const a = grid[v][u], b = grid[v][u + 1], c = grid[v + 1][u], d = grid[v + 1][u + 1];
    const [p, along, downward] = upper
      ? [a, minus(b, a), minus(c, a)]
      : [[b[0] + c[0] - d[0], b[1] + c[1] - d[1], 0], minus(d, c), minus(d, b)];
    pen.save();
    pen.beginPath();
    const [first, second, third] = upper ? [a, b, c] : [b, d, c];
    const middle = [(first[0] + second[0] + third[0]) / 3, (first[1] + second[1] + third[1]) / 3];
    for (const [x, y] of [first, second, third]) {  // a little larger, so that no seams are seen
      const [dx, dy] = [x - middle[0], y - middle[1]], length = Math.hypot(dx, dy) || 1;
      pen.lineTo(x + dx / length, y + dy / length);
    }
    pen.clip();
    pen.transform(along[0] / w, along[1] / w, downward[0] / h, downward[1] / h, p[0], p[1]);
    pen.drawImage(shown, u * w, v * h, w, h, 0, 0, w, h);
    pen.restore();
  }
}

/** Under the timeline: a row for each person, lighter the more of the joints are inferred. */
function drawStrip() {
  const people = scene.figures.filter((figure) => !figure.compared);
  $("#strip").style.height = `${Math.max(10, Math.min(6 * people.length, 60))}px`;
  const { pen, width, height } = surface($("#strip"));
  people.forEach((figure, line) => {
    const top = Math.round((line * height) / people.length), bottom = Math.round(((line + 1) * height) / people.length);
    for (let x = 0; x < width; x++) {
      const row = rowAt(figure, Math.min(count - 1, Math.floor((x * count) / width)));
      if (row < 0) continue;
      let seen = 0;
      for (let i = 0; i < figure.size; i++) seen += figure.seen[row * figure.size + i];
      pen.fillStyle = mixed(figure.colour, colours.paper, 0.12 + (0.75 * seen) / figure.size);
      pen.fillRect(x, top, 1, Math.max(1, bottom - top - (people.length > 1 ? 1 : 0)));
    }
  });
}

// Time. While it plays, the film is the clock where there is one, so that picture and keypoints agree.

/** In the middle of the frame, where rounding cannot reach the one before. */
const filmTime = (frame) => scene.film.times[frame] + 0.5 / scene.fps;

/** The last frame that is due at a time, -1 before the first. */
function due(list, time) {
  let low = 0, high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle] <= time + 1e-6) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function show(frame) {
  state.frame = Math.min(Math.max(frame, 0), count - 1);
  state.dirty = true;
  $("#slider").value = state.frame;
  $("#now").textContent = `frame ${scene.first + state.frame}   ${times[state.frame].toFixed(2)} s`;
}

function seek(frame) {
  show(frame);
  state.started = performance.now();
  state.from = times[state.frame];
  if (state.film) film.currentTime = filmTime(state.frame);
}

function play(on) {
  if (on && state.frame >= count - 1) seek(0);
  state.playing = on;
  $("#play").classList.toggle("playing", on);
  $("#play").setAttribute("aria-label", on ? "Pause" : "Play");
  seek(state.frame);
  if (!state.film) return;
  film.playbackRate = state.speed;
  if (on) film.play().catch(() => play(false));
  else film.pause();
}

function tick() {
  if (state.playing) {
    let frame = state.frame;
    if (state.film) {
      if (!film.seeking) frame = Math.max(due(scene.film.times, film.currentTime), 0);
      if (film.ended) frame = count;
    } else {
      const now = state.from + ((performance.now() - state.started) / 1000) * state.speed;
      frame = due(times, now);
      if (now >= times[count - 1] + 1 / scene.fps) frame = count;
    }
    if (frame >= count) { show(count - 1); play(false); } else if (frame !== state.frame) show(frame);
  }
  if (scene && state.dirty) { state.dirty = false; drawFlat(); drawSpace(); }
  requestAnimationFrame(tick);
}

// What can be pressed

function look(name) {
  const [right, above] = scene.views[name].map((degrees) => (degrees * Math.PI) / 180);
  state.azimuth = scene.facing + right;
  state.elevation = above;
  // With room for the buttons above.
  const room = Math.max(space.clientHeight, 120);
  state.distance = ((scene.radius * 1.05) / Math.sin((scene.fov * Math.PI) / 360)) * (room / (room - 50));
  state.pan = [0, 0, 0];
  if (name === "camera") {  // back until the camera that filmed is in view, too
    const way = minus(cameraPlace([0, 0, 0]), centreAt(state.frame));
    state.pan = times3(way, 0.45);
    state.distance += 1.5 * Math.hypot(...way);
  }
  state.dirty = true;
}

function zoom(factor) {
  state.distance = Math.min(Math.max(state.distance * factor, 0.3), 200);
  state.dirty = true;
}

function handle(pointers) {
  space.addEventListener("pointerdown", (event) => {
    space.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
    $("#hint").style.opacity = 0;
  });
  for (const end of ["pointerup", "pointercancel"]) space.addEventListener(end, (event) => pointers.delete(event.pointerId));
  space.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const here = [event.clientX, event.clientY], dx = here[0] - before[0], dy = here[1] - before[1];
    if (pointers.size > 1) {
      const other = [...pointers].find(([id]) => id !== event.pointerId)[1];
      zoom(Math.hypot(before[0] - other[0], before[1] - other[1]) / Math.max(1, Math.hypot(here[0] - other[0], here[1] - other[1])));
    } else if (event.shiftKey || event.buttons & 6) {
      const { right, down, focal } = eye(space.clientWidth, space.clientHeight);
      state.pan = minus(state.pan, times3(plus(times3(right, dx), times3(down, dy)), state.distance / focal));
    } else {
      state.azimuth -= dx * 0.008;
      state.elevation = Math.min(Math.max(state.elevation + dy * 0.008, -1.5), 1.55);
    }
    pointers.set(event.pointerId, here);
    state.dirty = true;
  });
  space.addEventListener("contextmenu", (event) => event.preventDefault());
  space.addEventListener("dblclick", () => scene && look("angle"));
  space.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(Math.min(Math.max(event.deltaY, -200), 200) * 0.0015));
  }, { passive: false });
}

function element(tag, text, parent, attributes = {}) {
  const made = Object.assign(document.createElement(tag), attributes);
  made.append(text);
  parent.append(made);
  return made;
}

function build() {
  for (const filled of ["#legend", "#notes", "#toggles", "#views"]) $(filled).replaceChildren();
  document.title = `${scene.title}: RePOSE`;
  $("#title").textContent = scene.title;
  const people = scene.figures.filter((figure) => !figure.compared);
  const compared = people.length < scene.figures.length;
  const length = `${count} frames, ${(times[count - 1] - times[0]).toFixed(1)} s`;
  $("#summary").textContent = `${people.length === 1 ? "1 person" : `${people.length} people`}, ${length}`;
  const inferred = people.some((figure) => figure.seen.includes(0));
  const deviating = people.some((figure) => figure.deviation);
  for (const [text, colour, kind] of [
    ["left", colours.left, ""], ["right", colours.right, ""],
    inferred && ["inferred", colours.middle, "hollow"],
    inferred && deviating && ["deviation", colours.middle, "haze"],
    compared && ["compared", colours.compared, ""],
  ].filter(Boolean)) element("li", text, $("#legend"), { className: kind }).style.setProperty("--colour", colour);
  for (const note of scene.notes) element("li", note, $("#notes"));

  const flatShown = scene.size && people.some((figure) => figure.points);
  $("#flat").hidden = !flatShown;
  if (flatShown) $("#flat").style.flex = Math.min(Math.max(scene.size[0] / scene.size[1], 0.6), 1.6);
  for (const [name, text, there] of [
    ["picture", "Picture", Boolean(scene.film || scene.picture)], ["overlay", "2D keypoints", flatShown],
    ["deviation", "Deviation", inferred && deviating], ["trail", "Trail", true], ["ground", "Ground", true],
    ["camera", "Camera", Boolean(scene.camera && scene.size)], ["names", "Names", people.length > 1],
    ["compared", "Compared", compared], ["together", "Compared at the same root", compared], ["follow", "Follow", true],
  ]) {
    if (!there) continue;
    const label = element("label", "", $("#toggles"));
    const box = element("input", "", label, { type: "checkbox", checked: state.show[name], name });
    label.append(text);
    box.addEventListener("change", () => { state.show[name] = box.checked; state.dirty = true; });
  }
  for (const name of Object.keys(scene.views)) {
    if (name === "camera" && !(scene.camera && scene.size)) continue;
    element("button", name[0].toUpperCase() + name.slice(1), $("#views"), { type: "button" })
      .addEventListener("click", () => look(name));
  }
  $("#slider").max = count - 1;
  drawStrip();
}

/** Attach everything that reacts, once; `build` fills in what depends on the scene. */
function listen() {
  $("#slider").addEventListener("input", (event) => {
    const frame = Number(event.target.value);  // to stop shows the frame where it stops
    play(false);
    seek(frame);
  });
  $("#play").addEventListener("click", () => play(!state.playing));
  $("#speed").addEventListener("change", (event) => { state.speed = Number(event.target.value); play(state.playing); });
  document.addEventListener("keydown", (event) => {
    if (!scene || scene.live || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("select, input[type=checkbox], button, summary") && event.key === " ") return;
    const to = { ArrowRight: state.frame + 1, ArrowLeft: state.frame - 1, Home: 0, End: count - 1 }[event.key];
    if (event.key === " ") play(!state.playing);
    else if (to !== undefined && !event.target.matches("select")) { play(false); seek(to); }
    else return;
    event.preventDefault();
  });
  handle(new Map());
  new ResizeObserver(() => {
    state.dirty = true;
    if (scene) drawStrip();
  }).observe($("main"));
}

/** Show a film beside the scene; `failed` is called where the browser cannot. */
function openFilm(address, failed) {
  film.onloadeddata = () => { state.film = true; seek(state.frame); };
  film.onseeked = () => { state.dirty = true; };
  film.onerror = () => { state.film = false; failed(); };
  film.src = address;
}
