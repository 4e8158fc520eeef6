/** A safetensors file: a header in JSON, then the numbers, little-endian as everywhere here. */

import { Fault } from "./faults";

interface Entry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

/** The test pictures that the book's answers were stored for (studies/receipt.py). */
export interface Receipt {
  weights: string; // the checksum of those that PyTorch answered with
  images: Uint8Array; // (n, C, H, W)
  logits: Float32Array; // (n, K)
  count: number;
}

export function receiptOf(file: ArrayBuffer): Receipt {
  const length = Number(new DataView(file).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(file, 8, length)));
  const part = (name: string) => {
    const entry: Entry | undefined = header[name];
    if (!entry) throw new Fault("runtime", `no ${name}`);
    const [start, end] = entry.data_offsets;
    return { shape: entry.shape, bytes: file.slice(8 + length + start, 8 + length + end) };
  };
  const images = part("images");
  return {
    weights: header.__metadata__?.weights ?? "",
    images: new Uint8Array(images.bytes),
    logits: new Float32Array(part("logits").bytes),
    count: images.shape[0],
  };
}
