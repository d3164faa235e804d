// The app: a video or the camera in, 3D beside the picture while it runs, the whole result at the end.
//
// While it runs, windows of what was detected last are lifted as often as the lifter is free. At the end the
// whole recording is lifted as `repose estimate` does it.

import { toBvh } from "./bvh.js";
import { openDetector } from "./detector.js";
import { openCamera, openVideo } from "./frames.js";
import { makeScene } from "./scene.js";
import { scaleOf, toCsv, toJson } from "./results.js";

/* global $, build, listen, look, openFilm, play, seek, setScene, show, state, tick */

const SHOWN_WIDTH_PX = 640, KEPT_PICTURES = 90;
let engine, constants, running = null, result = null;

// The lifter answers from its own thread.

const lifter = { calls: new Map(), bytes: () => {} };

function ask(message, report = () => {}, transfer = []) {
  const id = ++lifter.last || (lifter.last = 1);
  return new Promise((resolve, reject) => {
    lifter.calls.set(id, { resolve, reject, report });
    lifter.worker.postMessage({ ...message, id }, transfer);
  });
}

function answer({ data }) {
  const call = lifter.calls.get(data.id);
  if (data.bytes) lifter.bytes(data.bytes);
  else if ("share" in data) call.report(data.share);
  else {
    lifter.calls.delete(data.id);
    if ("error" in data) call.reject(new Error(data.error));
    else call.resolve(data.answer);
  }
}

/** Load networks and programs, once. */
async function open() {
  const parts = await (await fetch("parts.json")).json();
  let there = 0;
  const report = (bytes) => {
    there += bytes;
    say(`Loading ${(there / 1e6).toFixed(0)} of ${(parts.bytes / 1e6).toFixed(0)} MB`, Math.min(1, there / parts.bytes));
  };
  lifter.bytes = report;
  lifter.worker = new Worker("lifter.js", { type: "module" });
  lifter.worker.onmessage = answer;
  lifter.worker.onerror = (event) => { for (const { reject } of lifter.calls.values()) reject(new Error(event.message || "The lifter cannot be loaded.")); };
  const wanted = new URLSearchParams(location.search).get("lifter") || "auto";
  const [detector, started] = await Promise.all([openDetector(parts.detector, report), ask({ open: wanted })]);
  constants = started.constants;
  return { detector, runtime: started.runtime };
}

const perSecond = (rate) => `${rate.toFixed(rate < 1 ? 2 : 1)} frames/s`;

function say(text, share = null) {
  $("#doing").textContent = text;
  if (share === null) $("#progress").removeAttribute("value");
  else $("#progress").value = share;
}

/** Show the first step again, with what went wrong in words. */
function restart(problem = "") {
  document.body.dataset.step = "start";
  $("#message").textContent = problem;
  $("#file").value = "";
  if (problem) $("#start").scrollTop = 0;
}

function heightOf(text) {
  if (!text.trim()) return null;
  const height = Number(text);
  if (!(height >= 0.3 && height <= 3)) throw new Error("The person's height is 0.3 to 3 metres. Leave it empty to have 1.70 m assumed.");
  return height;
}

/** Go from a source of pictures to a result. */
async function run(openSource, title, file = null) {
  if (running) return;
  const job = running = { stopped: false };
  try {
    $("#message").textContent = "";
    const height = heightOf($("#height").value);
    document.body.dataset.step = "busy";
    setScene(null);
    clear(title);
    const source = job.source = await openSource();
    say("Loading");
    engine ??= open();
    const { detector, runtime } = await engine.catch((error) => { engine = null; throw error; });
    detector.reset();
    const track = await follow(job, source, detector, runtime, title, height);
    if (!track.frames.length && job.stopped) { restart(); return; }
    if (!track.frames.length) {
      throw new Error(track.count ? `Nobody was found in ${track.count} pictures. The detector needs a whole person in the picture, and light.` : "No picture came.");
    }
    say("Lifting the whole recording", 0);
    const pose = await ask({ track, options: { height } }, (share) => say("Lifting the whole recording", share));
    if (!pose) throw new Error("Not a single joint was seen.");
    finish(pose, track, title, file, runtime);
  } catch (error) {
    restart(error.message || String(error));
  } finally {
    job.source?.close();
    running = null;
  }
}

/** Detect frame by frame; what was found is lifted and shown on the way. Returns the track. */
async function follow(job, source, detector, runtime, title, height) {
  const track = { frames: [], times: [], points: [], confidence: [], size: source.size, fps: source.fps, source: `mediapipe ${constants.detectorVersion} (web)`, count: 0, all: [] };
  const preview = makePreview(title, height), live = source.count === null, started = performance.now();
  let problem = "";
  try {
    for await (const { canvas, time, frame } of source.frames) {
      if (job.stopped) break;
      const found = await detector.find(canvas, time, source.size);
      if (job.stopped) break;
      track.count++;
      track.all.push(time);
      if (found) {
        track.frames.push(frame);
        track.times.push(time);
        track.points.push(found.points);
        track.confidence.push(found.confidence);
      }
      const rate = track.count / ((performance.now() - started) / 1000);
      if (live && track.count > 1) track.fps = (track.count - 1) / Math.max(time - track.all[0], 1e-3);
      preview.take(track, frame, canvas, Boolean(found));
      const what = live ? `${time.toFixed(0)} s` : `Frame ${track.count} of ${source.count}`;
      say(`${what} · ${perSecond(rate)} · ${runtime}${found ? "" : " · nobody is seen"}`, live ? null : track.count / source.count);
    }
  } catch (error) {
    if (!job.stopped && !track.frames.length) throw error;
    problem = job.stopped ? "" : error.message;
  }
  preview.close();
  track.rate = track.count / ((performance.now() - started) / 1000);
  return { ...track, problem };
}

/** The newest frames as lifted so far, beside their pictures: shown as evenly as they come. */
function makePreview(title, height) {
  const pictures = new Map();
  let lifting = false, period = 200, asked = performance.now(), queue = [], timer, closed = false, first = true;
  const next = () => {
    if (closed || !queue.length) return;
    show(queue.shift());
    timer = setTimeout(next, period / (queue.length + 1));
  };
  async function lift(track) {
    lifting = true;
    const seconds = constants.windowFrames / constants.rateHz, newest = track.times[track.times.length - 1];
    const from = track.times.findIndex((time) => time > newest - seconds), part = { ...track };
    for (const name of ["frames", "times", "points", "confidence"]) part[name] = track[name].slice(from);
    delete part.all;
    const pose = await ask({ track: part, options: { height, flip: false } }).catch(() => null);
    const now = performance.now();
    [period, asked] = [Math.min(now - asked, 2000), now];
    lifting = false;
    if (!pose || closed) return;
    const last = pose.frames[pose.frames.length - 1], before = lift.shown ?? last - 1;
    const scene = makeScene(pose, constants, { title, notes: [], live: true, picture: (frame) => pictures.get(pose.frames[0] + frame) || null });
    setScene(scene);
    if (first) { build(); look("angle"); first = false; }
    queue = pose.frames.filter((frame) => frame > before).map((frame) => frame - pose.frames[0]);
    lift.shown = last;
    if (queue.length > KEPT_PICTURES / 2) queue = queue.slice(-1);
    clearTimeout(timer);
    next();
  }
  return {
    take(track, frame, canvas, found) {
      const small = document.createElement("canvas"), scale = Math.min(1, SHOWN_WIDTH_PX / canvas.width);
      [small.width, small.height] = [canvas.width * scale, canvas.height * scale].map(Math.round);
      small.getContext("2d").drawImage(canvas, 0, 0, small.width, small.height);
      pictures.set(frame, small);
      pictures.delete(frame - KEPT_PICTURES);
      if (found && !lifting && track.frames.length > 1) lift(track);
    },
    close() { closed = true; clearTimeout(timer); },
  };
}

/** Show the whole result, with the video where there is one. */
function finish(pose, track, title, file, runtime) {
  const notes = [
    `Scale: ${scaleOf(pose, constants)}.`,
    "Up is not known: the camera is taken to be level.",
    pose.placed ? "" : "Where people stand is not known: everybody is held at the pelvis.",
    file ? "" : "No picture: the camera's are not kept.",
    track.problem,
    `${track.count} pictures, ${track.frames.length} with a person; ${perSecond(track.rate)}; lifter: ${runtime}.`,
  ].filter(Boolean);
  pose.record.detector = "mediapipe";
  if (file) pose.record.video = file.name;
  result = { pose, title };
  const first = pose.frames[0], last = pose.frames[pose.frames.length - 1];
  const film = file ? { times: track.all.slice(first, last + 1) } : null;
  document.body.dataset.step = "done";
  state.film = false;
  setScene(makeScene(pose, constants, { title, notes, film }));
  build();
  look("angle");
  play(false);
  seek(0);
  if (film) openFilm(result.address = URL.createObjectURL(file), () => $("#doing").append(" · this browser cannot play the video beside it"));
  say([track.problem, perSecond(track.rate)].filter(Boolean).join(" · "));
  $("#play").focus({ preventScroll: true });
}

function clear(title) {
  if (result?.address) URL.revokeObjectURL(result.address);
  result = null;
  state.film = false;
  state.playing = false;
  for (const canvas of document.querySelectorAll("main canvas")) canvas.width = 0;
  for (const filled of ["#summary", "#legend", "#toggles", "#views"]) $(filled).replaceChildren();
  $("#title").textContent = title;
}

const KINDS = { json: ["application/json", toJson], csv: ["text/csv", toCsv], bvh: ["text/plain", toBvh] };

function save(kind) {
  const [type, write] = KINDS[kind], name = result.title.replace(/\.[^.]*$/, "") || "poses";
  const address = URL.createObjectURL(new Blob([write(result.pose, constants)], { type }));
  Object.assign(document.createElement("a"), { href: address, download: `${name}.${kind}` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

const runFile = (file) => file && run(() => openVideo(file), file.name, file);

$("#file").addEventListener("change", ({ target }) => runFile(target.files[0]));
$("#camera").addEventListener("click", () => run(openCamera, "Camera"));
$("#stop").addEventListener("click", () => { if (running) { running.stopped = true; running.source?.close(); } });
$("#again").addEventListener("click", () => { play(false); restart(); });
for (const button of document.querySelectorAll("[data-save]")) button.addEventListener("click", () => save(button.dataset.save));
for (const [kind, over] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    $("#drop").classList.toggle("over", over);
    if (kind === "drop" && document.body.dataset.step !== "busy" && !window.problem) runFile(event.dataTransfer.files[0]);
  });
}
listen();
tick();
