// Files of this site. The large ones are compressed, so that any plain server will do.

/** Fetch a file as bytes, unpacked if it is compressed; `report` is told how many bytes have come since. */
export async function download(address, report = () => {}) {
  const name = address.split("/").pop();
  const answer = await fetch(address).catch(() => { throw new Error(`${name} cannot be loaded. Is the server of this page still there?`); });
  if (!answer.ok) throw new Error(`${name} cannot be loaded (${answer.status}). The site is not complete: build it again.`);
  const parts = [];
  for (const reader = answer.body.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    report(value.length);
  }
  const blob = new Blob(parts), start = new Uint8Array(await blob.slice(0, 2).arrayBuffer());
  // A server that knows the suffix may have had it unpacked on the way.
  if (start[0] !== 0x1f || start[1] !== 0x8b) return blob.arrayBuffer();
  return new Response(blob.stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}
