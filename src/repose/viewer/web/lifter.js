// The lifter, in a thread of its own: the network by ONNX Runtime, and the steps around it.

import { download } from "./unpack.js";
import { lift } from "./lifting.js";

let constants, session, ort, opening;

/** WebGPU where there is one that is no imitation on the processor, and this browser can wait for it. */
async function hasGpu(wanted) {
  if (wanted === "wasm" || !navigator.gpu || !("Suspending" in WebAssembly)) return false;
  const adapter = await navigator.gpu.requestAdapter().catch(() => null);
  const fallback = adapter && (adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter);
  return Boolean(adapter && (wanted === "webgpu" || !fallback));
}

async function start(wanted, report) {
  constants = JSON.parse(new TextDecoder().decode(await download("constants.json", report)));
  const open = async (gpu) => {
    const script = gpu ? "ort.jspi.min.mjs" : "ort.wasm.min.mjs", name = `ort-wasm-simd-threaded${gpu ? ".jspi" : ""}`;
    const [runtime, wasm, model] = await Promise.all([
      import(`./vendor/onnxruntime-web/${script}`),
      download(`vendor/onnxruntime-web/${name}.wasm.gz`, report),
      download("model.onnx.gz", report),
    ]);
    ort = runtime;
    ort.env.wasm.wasmPaths = { mjs: new URL(`vendor/onnxruntime-web/${name}.mjs`, location).href };
    ort.env.wasm.wasmBinary = wasm;
    ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;
    ort.env.logLevel = "error";
    session = await ort.InferenceSession.create(model, { executionProviders: [gpu ? "webgpu" : "wasm"], logSeverityLevel: 3 });
    const row = new Float64Array(3 * constants.joints.length);
    await network([[row, row]]);
    return gpu ? "WebGPU" : `WebAssembly, ${ort.env.wasm.numThreads === 1 ? "1 thread" : `${ort.env.wasm.numThreads} threads`}`;
  };
  if (!await hasGpu(wanted)) return open(false);
  return open(true).catch(() => open(false));
}

async function network(clips) {
  const joints = constants.joints.length, frames = clips[0].length, values = new Float32Array(clips.length * frames * joints * 3);
  clips.forEach((rows, clip) => rows.forEach((row, frame) => values.set(row, 3 * joints * (clip * frames + frame))));
  const found = await session.run({ keypoints: new ort.Tensor("float32", values, [clips.length, frames, joints, 3]) });
  const rows = (tensor, clip, columns) => Array.from({ length: frames }, (_, frame) => {
    const at = columns * (clip * frames + frame);
    return Float64Array.from(tensor.data.subarray(at, at + columns));
  });
  return clips.map((_, clip) => ({ joints: rows(found.joints, clip, 3 * joints), deviation: rows(found.deviation, clip, joints) }));
}

onmessage = async ({ data: { id, open, track, options } }) => {
  try {
    if (open) {
      opening = start(open, (bytes) => postMessage({ bytes }));
      const runtime = await opening;
      postMessage({ id, answer: { runtime, constants } });
    } else {
      await opening;
      const report = (share) => postMessage({ id, share });
      postMessage({ id, answer: await lift(track, network, constants, { ...options, report }) });
    }
  } catch (error) {
    postMessage({ id, error: String(error.message || error) });
  }
};
