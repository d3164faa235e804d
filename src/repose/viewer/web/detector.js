// MediaPipe Pose (BlazePose): one person, 33 landmarks, as repose/detectors/mediapipe.py has them.

import { download } from "./unpack.js";

const FOLDER = "vendor/mediapipe-pose/";
const TYPES = { wasm: "application/wasm", js: "text/javascript" };

/** Load the detector; `files` names what it is made of, compressed or not. */
export async function openDetector(files, report) {
  const places = {};
  await Promise.all(files.map(async (file) => {
    const name = file.replace(/\.gz$/, "");
    const type = TYPES[name.split(".").pop()] || "application/octet-stream";
    places[name] = URL.createObjectURL(new Blob([await download(FOLDER + file, report)], { type }));
  }));
  await new Promise((resolve, reject) => {
    const script = Object.assign(document.createElement("script"), { src: places["pose.js"], onload: resolve });
    script.onerror = () => reject(new Error("The detector cannot be loaded."));
    document.head.append(script);
  });
  const pose = new window.Pose({ locateFile: (name) => places[name] || name });
  pose.setOptions({ modelComplexity: 1, smoothLandmarks: true });
  let found = null;
  pose.onResults(({ poseLandmarks }) => { found = poseLandmarks || null; });
  await pose.initialize();
  let start = 0, latest = 0;
  return {
    /** Forget the person, before another video. */
    reset() { pose.reset(); start = latest + 1; },
    /** Points in pixels of a picture of `size`, and confidence; null where there is nobody. */
    async find(canvas, time, [width, height]) {
      found = null;
      latest = Math.max(start + time, latest + 1e-3);
      await pose.send({ image: canvas }, 1000 * latest);
      if (!found) return null;
      const points = found.flatMap(({ x, y }) => [x * width, y * height]);
      const sure = found.map(({ visibility }) => Math.min(Math.max(visibility ?? 0, 0), 1));
      return { points: Float64Array.from(points), confidence: Float64Array.from(sure) };
    },
  };
}
