// Where pictures come from: a video file, frame by frame, or a camera. Both are lists of { canvas, time, frame }.

import { download } from "./unpack.js";

const LONGEST_SIDE_PX = 1280;  // the detector looks at 256 pixels of the person

let reader;  // of videos; a module from another address would be another module

async function loadReader() {
  const script = new Blob([await download("vendor/mediabunny/mediabunny.min.mjs.gz")], { type: "text/javascript" });
  return import(URL.createObjectURL(script));
}

const seconds = (time) => Number(time.toFixed(6));

function fit(width, height) {
  const scale = Math.min(1, LONGEST_SIDE_PX / Math.max(width, height));
  return { width: Math.round(width * scale), height: Math.round(height * scale) };
}

/** Open a video; throws an Error in words for a file that is none, or that this browser cannot decode. */
export async function openVideo(file) {
  reader ??= loadReader();
  const { Input, BlobSource, ALL_FORMATS, CanvasSink } = await reader.catch((error) => { reader = null; throw error; });
  const input = new Input({ source: new BlobSource(file), formats: ALL_FORMATS });
  let track, count, fps;
  try {
    track = await input.getPrimaryVideoTrack();
    if (track) {
      ({ packetCount: count, averagePacketRate: fps } = await track.computePacketStats());
      // Frames that the file lacks do not lower its rate.
      fps = (await track.computeFrameRateMetrics()).underlyingFrameRate ?? fps;
    }
  } catch {
    throw new Error("This file is no video that a browser can read. Expected MP4, MOV, WebM or MKV; other videos are converted by “ffmpeg -i FILE video.mp4”.");
  }
  if (!track || !count) throw new Error("This file has no pictures, only sound or nothing at all. Choose a video.");
  if (!window.VideoDecoder) throw new Error("This browser cannot decode videos frame by frame. Chrome, Edge and Safari can, and Firefox since 2024.");
  if (!await track.canDecode()) throw new Error(`This browser cannot decode this video (${track.codec || "of an unknown codec"}). Convert it: “ffmpeg -i FILE -c:v libx264 video.mp4”.`);
  const size = [track.displayWidth, track.displayHeight];
  const sink = new CanvasSink(track, { ...fit(...size), fit: "fill", poolSize: 3 });
  async function* frames() {
    let frame = 0;
    try {
      for await (const { canvas, timestamp } of sink.canvases()) yield { canvas, time: seconds(timestamp), frame: frame++ };
    } catch (error) {
      if (!frame) throw new Error(`This video cannot be decoded (${error.message || error}).`);
      throw new Error(`The video is damaged after frame ${frame - 1} (${error.message || error}).`);
    }
  }
  return { frames: frames(), size, fps, count, close: () => input.dispose?.() };
}

/** Open the camera; throws an Error in words where it is refused, missing or in use. */
export async function openCamera() {
  if (!navigator.mediaDevices?.getUserMedia) throw new Error("This browser has no access to cameras. Choose a video instead.");
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 }, facingMode: "environment" }, audio: false });
  } catch (error) {
    throw new Error({
      NotAllowedError: "The camera was refused. Allow it for this page in the browser's address bar, or choose a video.",
      NotFoundError: "There is no camera. Connect one, or choose a video.",
      NotReadableError: "The camera is in use by another program. Close that, or choose a video.",
    }[error.name] || `The camera cannot be opened (${error.message || error.name}).`);
  }
  const video = Object.assign(document.createElement("video"), { srcObject: stream, muted: true, playsInline: true });
  await video.play();
  const [track] = stream.getVideoTracks(), size = [video.videoWidth, video.videoHeight];
  const canvas = Object.assign(document.createElement("canvas"), fit(...size)), pen = canvas.getContext("2d", { willReadFrequently: false });
  let running = true;
  /** The next picture; null when the camera has gone or been closed. Pictures in between are dropped. */
  const next = () => new Promise((resolve) => {
    const end = () => resolve(null);
    track.addEventListener("ended", end, { once: true });
    const wait = setInterval(() => { if (!running) end(); }, 200);
    const take = (now, { mediaTime }) => { clearInterval(wait); resolve(mediaTime || now / 1000); };
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(take);
    else requestAnimationFrame((now) => take(now, {}));
  });
  async function* frames() {
    let first = null, last = -1, frame = 0;
    while (running && track.readyState === "live") {
      const now = await next();
      if (now === null || !running) return;
      first ??= now;
      if (now - first <= last) continue;
      last = now - first;
      pen.drawImage(video, 0, 0, canvas.width, canvas.height);
      yield { canvas, time: seconds(last), frame: frame++ };
    }
  }
  const close = () => { running = false; stream.getTracks().forEach((each) => each.stop()); };
  return { frames: frames(), size, fps: track.getSettings().frameRate || 30, count: null, close };
}
