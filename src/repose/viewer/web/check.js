// What the app needs and this browser or address lacks, in words. A plain script, which any browser runs.

window.problem = (function () {
  "use strict";
  var simd = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11]);
  var found = "";
  if (location.protocol === "file:") {
    found = "Browsers run this page only from a web server, and it was opened from disk. In its folder, start " +
      "one with “python -m http.server”, and open http://localhost:8000.";
  } else if (!window.WebAssembly || !WebAssembly.validate(simd)) {
    found = "This browser cannot run the networks: it has no WebAssembly with SIMD. Any browser since 2023 has " +
      "it; in a hardened browser, WebAssembly may have been switched off.";
  } else if (!window.DecompressionStream || !("noModule" in HTMLScriptElement.prototype)) {
    found = "This browser is too old for this page. Any browser since 2023 will do.";
  } else if (!document.createElement("canvas").getContext("webgl2")) {
    found = "The detector needs WebGL 2, which this browser does not have or has switched off (in its settings: " +
      "hardware acceleration).";
  } else if (!window.isSecureContext) {
    found = "Browsers open cameras and decode videos only on pages that came by https or from this computer " +
      "itself. Open this page by https, or as http://localhost.";
  }
  if (found) {
    document.getElementById("start").setAttribute("data-problem", "");
    document.getElementById("message").textContent = found;
  }
  return found;
}());
