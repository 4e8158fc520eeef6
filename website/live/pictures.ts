/** A picture's file becomes pixels: what it is, whether it may be decoded, and its rows. */

import { Fault } from "./faults";
import { draft, fit, reduced, type Rows, type Size } from "./pixels";

const MOST_BYTES = 2 ** 28;
const MOST_PIXELS = 100_000_000; // as src/vitlit/pictures.py

type Kind = "jpeg" | "png" | "gif" | "webp" | "bmp" | "avif" | "heic" | "svg" | "none";

/** What the first bytes of a file say; the size where it stands in the header, else null. */
export interface Header {
  kind: Kind;
  size: Size | null;
}

/** The picture as the model takes it, (C, H, W): upright, on white, its first frame. */
export async function pixelsOf(file: Blob, size: Size, channels: number): Promise<Uint8Array> {
  if (file.size > MOST_BYTES) throw new Fault("picture_large");
  const bytes = new Uint8Array(await file.arrayBuffer());
  const header = headerOf(bytes);
  if (header.kind === "svg") throw new Fault("picture_svg");
  if (header.kind === "none") throw new Fault("picture_none");
  if (header.size) refuseLarge(header.size);
  const rows = await decoded(bytes, header.kind);
  try {
    const factor = header.kind === "jpeg" ? draft(rows, size) : 1;
    return fit(factor > 1 ? reduced(rows, factor) : rows, size, channels);
  } finally {
    rows.close();
  }
}

/** Read a header. Nothing is decoded, so that what is too large or no picture is refused before. */
export function headerOf(bytes: Uint8Array): Header {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = (from: number, to: number) => String.fromCharCode(...bytes.subarray(from, to));
  const size = (height: number, width: number) => ({ height, width });
  const within = (end: number, read: () => Size) => (bytes.length >= end ? read() : null);
  if (text(0, 8) === "\x89PNG\r\n\x1a\n") {
    return { kind: "png", size: within(24, () => size(view.getUint32(20), view.getUint32(16))) };
  }
  if (text(0, 3) === "\xff\xd8\xff") return { kind: "jpeg", size: sizeOfJpeg(view) };
  if (/^GIF8[79]a$/.test(text(0, 6))) {
    const read = () => size(view.getUint16(8, true), view.getUint16(6, true));
    return { kind: "gif", size: within(10, read) };
  }
  if (text(0, 4) === "RIFF" && text(8, 12) === "WEBP") {
    return { kind: "webp", size: within(30, () => sizeOfWebp(view, text(12, 16))) };
  }
  if (text(0, 2) === "BM") {
    const read = () => size(Math.abs(view.getInt32(22, true)), view.getInt32(18, true));
    return { kind: "bmp", size: within(26, read) };
  }
  if (text(4, 8) === "ftyp") {
    return { kind: text(8, 32).includes("avif") ? "avif" : "heic", size: null };
  }
  const start = new TextDecoder().decode(bytes.subarray(0, 4096)).toLowerCase();
  return { kind: /<svg[\s>]/.test(start) ? "svg" : "none", size: null };
}

/** The size in a JPEG's start of frame, whatever segments stand before it. */
function sizeOfJpeg(view: DataView): Size | null {
  let at = 2;
  while (at + 9 <= view.byteLength && view.getUint8(at) === 0xff) {
    const mark = view.getUint8(at + 1);
    const frame = mark >= 0xc0 && mark <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(mark);
    if (frame) return { height: view.getUint16(at + 5), width: view.getUint16(at + 7) };
    at += mark === 0xff ? 1 : 2 + view.getUint16(at + 2);
  }
  return null;
}

function sizeOfWebp(view: DataView, form: string): Size {
  if (form === "VP8X") {
    const side = (at: number) => view.getUint16(at, true) + (view.getUint8(at + 2) << 16) + 1;
    return { height: side(27), width: side(24) };
  }
  if (form === "VP8L") {
    const bits = view.getUint32(21, true);
    return { height: ((bits >> 14) & 0x3fff) + 1, width: (bits & 0x3fff) + 1 };
  }
  return { height: view.getUint16(28, true) & 0x3fff, width: view.getUint16(26, true) & 0x3fff };
}

function refuseLarge({ height, width }: Size): void {
  if (height * width > MOST_PIXELS) throw new Fault("picture_large", `${height}×${width}`);
}

/** The rows of a picture as the browser decodes it, its colors as they are in the file. */
async function decoded(bytes: Uint8Array, kind: Kind): Promise<Rows & { close(): void }> {
  // The type is what the bytes say, never what the file is called.
  const blob = new Blob([bytes as BlobPart], { type: `image/${kind}` });
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(blob, {
      colorSpaceConversion: "none",
      imageOrientation: "from-image",
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message : "";
    throw new Fault(kind === "heic" ? "picture_heic" : "picture_broken", reason);
  }
  const { height, width } = bitmap;
  const read = (top: number, count: number) => {
    const canvas = new OffscreenCanvas(width, count);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    if (!context) throw new Fault("picture_large", `${height}×${width}`);
    context.fillStyle = "white";
    context.fillRect(0, 0, width, count);
    context.drawImage(bitmap, 0, -top);
    return context.getImageData(0, 0, width, count).data;
  };
  try {
    refuseLarge(bitmap);
  } catch (error) {
    bitmap.close();
    throw error;
  }
  return { height, width, read, close: () => bitmap.close() };
}
