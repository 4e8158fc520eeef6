/** Files that the page fetches once: kept by the browser, for all pages and without a network. */

import { Fault } from "./faults";
import type { Stored } from "./files";

const CACHE = "vitlit";

export type Progress = (done: number) => void;

/** The content of a file that lies beside this script. `progress` hears of each part's bytes. */
export async function download(file: Stored, progress: Progress = () => {}): Promise<ArrayBuffer> {
  const address = new URL(file.name, import.meta.url).href;
  const cache = await openCache();
  const kept = await cache?.match(address);
  if (kept) {
    const content = await kept.arrayBuffer();
    progress(content.byteLength);
    return content;
  }
  const content = await fetched(address, file.bytes, progress);
  await keep(cache, address, file.name, content);
  return content;
}

async function fetched(address: string, bytes: number, progress: Progress): Promise<ArrayBuffer> {
  const content = new Uint8Array(bytes);
  let done = 0;
  try {
    const response = await fetch(address);
    if (!response.ok || !response.body) throw new Error(`${response.status}`);
    const reader = response.body.getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      content.set(part.value, done);
      done += part.value.length;
      progress(part.value.length);
    }
  } catch (error) {
    throw new Fault("network", error instanceof Error ? error.message : "");
  }
  if (done !== bytes) throw new Fault("network", `${done} / ${bytes}`);
  return content.buffer;
}

/** A browser keeps nothing on pages that are neither https nor of this machine; then it fetches. */
async function openCache(): Promise<Cache | null> {
  try {
    return await caches.open(CACHE);
  } catch {
    return null;
  }
}

/** Keep a file, and nothing of its older versions. What cannot be kept is fetched next time. */
async function keep(
  cache: Cache | null,
  address: string,
  name: string,
  content: ArrayBuffer,
): Promise<void> {
  const family = (path: string) => path.split("/").pop()!.replace(/-[0-9a-f]+(\.\w+)$/, "$1");
  try {
    for (const request of (await cache?.keys()) ?? []) {
      if (family(request.url) === family(name)) await cache!.delete(request);
    }
    await cache?.put(address, new Response(content));
  } catch {
    return;
  }
}
