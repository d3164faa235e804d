"use strict";

// The page shows the one scene that is written into it.

/** Unpack numbers over time: differences from row to row, low bytes first, in the order in which they are named. */
async function unpack() {
  const scene = JSON.parse($("#scene").textContent);
  const bytes = Uint8Array.from(atob($("#motion").textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const packed = new Uint8Array(await new Response(stream).arrayBuffer());
  let at = 0;
  const numbers = ({ rows, columns, unit, middle }) => {
    const size = rows * columns, whole = new Int32Array(size), out = new Float32Array(size);
    const low = packed.subarray(at, at + size), high = packed.subarray(at + size, at + 2 * size);
    at += 2 * size;
    for (let i = 0; i < size; i++) {
      const step = low[i] | (high[i] << 8);
      whole[i] = ((i < columns ? 0 : whole[i - columns]) + step) << 16 >> 16;
      out[i] = whole[i] * unit + middle;
    }
    return out;
  };
  scene.times = numbers(scene.times);
  scene.centre = numbers(scene.centre);
  if (scene.film) scene.film.times = scene.times.map((_, frame) => frame / scene.fps);
  for (const figure of scene.figures) {
    const { rows, columns } = figure.joints;
    figure.size = columns / 3;
    figure.joints = numbers(figure.joints);
    figure.seen = packed.subarray(at, at += rows * figure.size);
    figure.points = figure.points && numbers(figure.points);
    figure.deviation = figure.deviation && numbers(figure.deviation);
    let row = 0;
    for (const run of figure.runs) { run.push(row); row += run[1]; }
    figure.compared = figure.partner !== null;
  }
  return scene;
}

function openPicture() {
  if (!scene.film) return;
  const bytes = Uint8Array.from(atob($("#picture").textContent), (letter) => letter.charCodeAt(0));
  const address = URL.createObjectURL(new Blob([bytes], { type: "video/mp4" }));
  openFilm(address, () => element("li", "This browser cannot show the video: no picture.", $("#notes")));
}

unpack().then((unpacked) => {
  setScene(unpacked);
  build();
  listen();
  look("angle");
  seek(0);
  openPicture();
  tick();
}, (error) => {
  element("p", `This browser cannot open the page (${error}). Any current one can.`, document.body, { id: "failure" });
  throw error;
});
