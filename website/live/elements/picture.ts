/** A picture as the model sees it, (C, H, W), on a canvas, its patches apart. */

import type { About } from "../session";

const SIDE = 320; // pixels that the longer side has on the canvas, about

export function draw(canvas: HTMLCanvasElement, pixels: Uint8Array, { sizes }: About): void {
  const { C, H, W, P } = sizes;
  const scale = Math.max(1, Math.floor(SIDE / Math.max(H, W)));
  canvas.width = W * scale;
  canvas.height = H * scale;
  const context = canvas.getContext("2d")!;
  for (let y = 0; y < H; y++) {
    for (let x = 0; x < W; x++) {
      const [r, g, b] = [0, 1, 2].map((c) => pixels[Math.min(c, C - 1) * H * W + y * W + x]);
      context.fillStyle = `rgb(${r} ${g} ${b})`;
      context.fillRect(x * scale, y * scale, scale, scale);
    }
  }
  for (let x = P; x < W; x += P) context.clearRect(x * scale - 1, 0, 1, H * scale);
  for (let y = P; y < H; y += P) context.clearRect(0, y * scale - 1, W * scale, 1);
}

/** The same picture with its patches in another order: patch i is what was patch order[i]. */
export function arranged(pixels: Uint8Array, order: number[], { sizes }: About): Uint8Array {
  const { C, H, W, P, columns } = sizes;
  const out = new Uint8Array(pixels.length);
  order.forEach((from, to) => {
    const [y, x] = [Math.floor(to / columns) * P, (to % columns) * P];
    const [v, u] = [Math.floor(from / columns) * P, (from % columns) * P];
    for (let c = 0; c < C; c++) {
      for (let row = 0; row < P; row++) {
        const at = (c * H + v + row) * W + u;
        out.set(pixels.subarray(at, at + P), (c * H + y + row) * W + x);
      }
    }
  });
  return out;
}

/** Numbers 0 … n − 1 in an order that a seed decides, the same on every machine (mulberry32). */
export function shuffled(n: number, seed: number): number[] {
  let state = seed | 0;
  const random = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const order = Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}
