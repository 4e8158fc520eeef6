/** Puts the engine where a test can ask it. Not part of the site. */

import { engine } from "./engine";

const bytes = (text: string) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const text = (numbers: Float32Array | Uint8Array) => {
  const raw = new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
  let letters = "";
  for (const byte of raw) letters += String.fromCharCode(byte);
  return btoa(letters);
};
const told = (work: Promise<unknown>) =>
  work.catch((error) => ({ code: error.code ?? error.name, detail: error.detail ?? "" }));

Object.assign(window, {
  start: () => told(engine.start()),
  open: (graph: string | null) => told(engine.open(graph === null ? null : new Blob([bytes(graph)]))),
  fit: (file: string) => told(engine.fit(new Blob([bytes(file)])).then(text)),
  async run(pixels: string, wanted: "logits"[], positions?: number, heads?: number[]) {
    const given = { pixels: bytes(pixels), wanted, positions };
    const start = performance.now();
    const answer = await engine.run({ ...given, heads: heads && Float32Array.from(heads) });
    const found = Object.entries(answer).map(([name, { data }]) => [name, text(data)]);
    return { milliseconds: performance.now() - start, ...Object.fromEntries(found) };
  },
  /** Ask many times, each making the one before outdated; how many were answered. */
  async outdated(pixels: string, times: number) {
    const given = { pixels: bytes(pixels), wanted: ["logits" as const] };
    let answered = 0;
    let last = new AbortController();
    const asked = Array.from({ length: times }, () => {
      last.abort();
      last = new AbortController();
      return engine.run(given, last.signal).then(
        () => void answered++,
        () => {},
      );
    });
    await Promise.all(asked);
    return answered;
  },
  /** The longest time for which the page could do nothing else while a picture was read. */
  async stalled(file: string) {
    const given = new Blob([bytes(file)]);
    let longest = 0;
    let before = performance.now();
    const beat = setInterval(() => {
      longest = Math.max(longest, performance.now() - before);
      before = performance.now();
    }, 10);
    const answer = await told(engine.fit(given).then(() => "fitted"));
    clearInterval(beat);
    return { longest: Math.max(longest, performance.now() - before), answer };
  },
});
