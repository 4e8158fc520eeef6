/**
 * Crop and resize as `vitlit predict` does it: Pillow's `ImageOps.fit` with its bicubic filter,
 * antialiased, in Pillow's fixed-point arithmetic (libImaging/Resample.c).
 *
 * A picture is read a strip of rows at a time, so that a large one never lies in memory twice.
 */

export interface Size {
  height: number;
  width: number;
}

/** A decoded picture: RGBA rows, opaque. */
export interface Rows extends Size {
  read(top: number, count: number): Uint8ClampedArray;
}

interface Box {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

/** For each output pixel the first input pixel and how many, and the weights in fixed point. */
interface Weights {
  first: Int32Array;
  count: Int32Array;
  most: number;
  weight: Int32Array;
}

const PRECISION = 22; // bits after the point: 32 − 8 for a pixel − 2 for the sum
const HALF = 1 << (PRECISION - 1);
const STRIP = 1 << 18; // pixels that are read at once
const SUPPORT = 2; // input pixels on each side that the bicubic filter sees

/** The middle of a picture in the proportions of a size, resized to it: (C, H, W), bytes. */
export function fit(source: Rows, size: Size, channels: number): Uint8Array {
  const box = middle(source, size);
  const across = weights(source.width, box.left, box.right, size.width);
  const down = weights(source.height, box.top, box.bottom, size.height);
  // Pillow 13 begins with the columns where many more rows go than columns; older ones never.
  const columnsFirst = source.height - size.height > 2 * Math.max(source.width - size.width, 0);
  const columns = new Columns(down, (columnsFirst ? source.width : size.width) * channels);
  const last = size.height - 1;
  const end = down.first[last] + down.count[last];
  const step = Math.max(1, Math.floor(STRIP / source.width));
  for (let top = down.first[0]; top < end; top += step) {
    const count = Math.min(step, end - top);
    const strip = planesOf(source.read(top, count), channels);
    columns.add(top, columnsFirst ? strip : resizeRows(strip, source.width, channels, across));
  }
  const done = columns.done();
  return channelsFirst(
    columnsFirst ? resizeRows(done, source.width, channels, across) : done,
    size,
    channels,
  );
}

/** A picture at one n-th of its size, each pixel the mean of n × n: as a JPEG's decoder shrinks. */
export function reduced(source: Rows, factor: number): Rows {
  const width = Math.ceil(source.width / factor);
  const height = Math.ceil(source.height / factor);
  const read = (top: number, count: number) => {
    const from = top * factor;
    const lines = Math.min(count * factor, source.height - from);
    const full = source.read(from, lines);
    const out = new Uint8ClampedArray(count * width * 4);
    for (let row = 0; row < count; row++) {
      const bottom = Math.min((row + 1) * factor, lines);
      for (let column = 0; column < width; column++) {
        const right = Math.min((column + 1) * factor, source.width);
        const sums = [0, 0, 0];
        for (let y = row * factor; y < bottom; y++) {
          for (let x = column * factor; x < right; x++) {
            const at = (y * source.width + x) * 4;
            for (let c = 0; c < 3; c++) sums[c] += full[at + c];
          }
        }
        const pixels = (bottom - row * factor) * (right - column * factor);
        const at = (row * width + column) * 4;
        for (let c = 0; c < 3; c++) out[at + c] = Math.floor(sums[c] / pixels + 0.5);
        out[at + 3] = 255;
      }
    }
    return out;
  };
  return { height, width, read };
}

/** How far a JPEG may be shrunk while it is decoded, for a size: 1, 2, 4 or 8 (Pillow's draft). */
export function draft(source: Size, size: Size): number {
  const side = 8 * Math.max(size.height, size.width);
  const most = Math.min(Math.floor(source.width / side), Math.floor(source.height / side));
  return [8, 4, 2].find((factor) => factor <= most) ?? 1;
}

/** What `ImageOps.fit` keeps, in the single precision in which Pillow hands it on. */
function middle(source: Size, size: Size): Box {
  const wanted = size.width / size.height;
  const given = source.width / source.height;
  let { width, height } = source;
  if (given > wanted) width = wanted * source.height;
  else if (given < wanted) height = source.width / wanted;
  const left = (source.width - width) * 0.5;
  const top = (source.height - height) * 0.5;
  return {
    left: Math.fround(left),
    top: Math.fround(top),
    right: Math.fround(left + width),
    bottom: Math.fround(top + height),
  };
}

function bicubic(distance: number): number {
  const a = -0.5;
  const x = Math.abs(distance);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

function weights(inputs: number, start: number, end: number, outputs: number): Weights {
  const scale = Math.fround(end - start) / outputs;
  const spread = Math.max(scale, 1);
  const support = SUPPORT * spread;
  const most = Math.ceil(support) * 2 + 1;
  const first = new Int32Array(outputs);
  const count = new Int32Array(outputs);
  const weight = new Int32Array(outputs * most);
  for (let i = 0; i < outputs; i++) {
    const center = start + (i + 0.5) * scale;
    const low = Math.max(Math.trunc(center - support + 0.5), 0);
    const high = Math.min(Math.trunc(center + support + 0.5), inputs);
    const raw = Array.from({ length: high - low }, (_, x) =>
      bicubic((x + low - center + 0.5) * (1 / spread)),
    );
    const sum = raw.reduce((total, value) => total + value, 0);
    raw.forEach((value, x) => {
      const share = (sum === 0 ? value : value / sum) * (1 << PRECISION);
      weight[i * most + x] = Math.trunc(share < 0 ? share - 0.5 : share + 0.5);
    });
    first[i] = low;
    count[i] = high - low;
  }
  return { first, count, most, weight };
}

function clip(sum: number): number {
  const level = sum >> PRECISION;
  return level < 0 ? 0 : level > 255 ? 255 : level;
}

function resizeRows(
  pixels: Uint8Array,
  width: number,
  channels: number,
  { first, count, most, weight }: Weights,
): Uint8Array {
  const outputs = first.length;
  const rows = pixels.length / (width * channels);
  const out = new Uint8Array(rows * outputs * channels);
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < outputs; i++) {
      const from = (row * width + first[i]) * channels;
      for (let c = 0; c < channels; c++) {
        let sum = HALF;
        for (let x = 0; x < count[i]; x++) sum += pixels[from + x * channels + c] * weight[i * most + x];
        out[(row * outputs + i) * channels + c] = clip(sum);
      }
    }
  }
  return out;
}

/** Resizes columns while the rows arrive from top to bottom. */
class Columns {
  private readonly sums: Int32Array;

  constructor(
    private readonly weights: Weights,
    private readonly line: number, // numbers in a row
  ) {
    this.sums = new Int32Array(weights.first.length * line).fill(HALF);
  }

  add(top: number, pixels: Uint8Array): void {
    const { line, sums } = this;
    const { first, count, most, weight } = this.weights;
    const bottom = top + pixels.length / line;
    for (let i = 0; i < first.length; i++) {
      const end = Math.min(first[i] + count[i], bottom);
      for (let row = Math.max(first[i], top); row < end; row++) {
        const share = weight[i * most + row - first[i]];
        const from = (row - top) * line;
        for (let at = 0; at < line; at++) sums[i * line + at] += pixels[from + at] * share;
      }
    }
  }

  done(): Uint8Array {
    return Uint8Array.from(this.sums, clip);
  }
}

/** RGBA without its A; for one channel Pillow's gray, 0.299 R + 0.587 G + 0.114 B. */
function planesOf(rgba: Uint8ClampedArray, channels: number): Uint8Array {
  const out = new Uint8Array((rgba.length / 4) * channels);
  for (let at = 0, to = 0; at < rgba.length; at += 4) {
    if (channels === 1) {
      out[to++] = (rgba[at] * 19595 + rgba[at + 1] * 38470 + rgba[at + 2] * 7471 + 0x8000) >> 16;
    } else {
      for (let c = 0; c < 3; c++) out[to++] = rgba[at + c];
    }
  }
  return out;
}

function channelsFirst(pixels: Uint8Array, { height, width }: Size, channels: number): Uint8Array {
  const out = new Uint8Array(pixels.length);
  const area = height * width;
  for (let i = 0; i < area; i++) {
    for (let c = 0; c < channels; c++) out[c * area + i] = pixels[i * channels + c];
  }
  return out;
}
