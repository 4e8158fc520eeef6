/** The model behind the page. This file alone knows the runtime that computes it. */

import * as ort from "onnxruntime-web/wasm";

import { Fault } from "./faults";
import { metadataOf } from "./protobuf";

const FORMAT = 1;
const MOST_BYTES = 2 ** 30;
const OUTPUTS = ["logits", "attention", "tokens", "block_logits"] as const;
const INPUTS = ["pixels", "positions_gain", "head_gains"];

export type Output = (typeof OUTPUTS)[number];

/** What a graph says of itself; `vitlit export --to onnx` writes it (src/vitlit/onnx.py). */
export interface About {
  format: number;
  title: string;
  classes: string[];
  mean: number[]; // grey levels
  weights: string; // their checksum
  config: { pooling: "class" | "mean"; [field: string]: unknown };
  sizes: Record<"C" | "H" | "W" | "P" | "rows" | "columns" | "N" | "T" | "D" | "h" | "L" | "K", number>;
}

export interface Tensor {
  data: Float32Array;
  shape: number[];
}

export interface Request {
  pixels: Uint8Array; // (B, C, H, W)
  wanted: Output[];
  positions?: number; // the gain of the positions, 1 if not said
  heads?: Float32Array; // of every head, (L, h), 1 if not said
}

export type Answer = Partial<Record<Output, Tensor>>;

/** Give the runtime its program. It runs on one thread, which asks a server for no headers. */
export function prepare(program: ArrayBuffer): void {
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = program;
}

export class Session {
  private constructor(
    private readonly session: ort.InferenceSession,
    readonly about: About,
  ) {}

  /** Load a graph. Raises a Fault where it is not one that this page understands. */
  static async open(file: Uint8Array): Promise<Session> {
    const about = aboutOf(file);
    const session = await ort.InferenceSession.create(file, { executionProviders: ["wasm"] });
    const missing = [
      ...INPUTS.filter((name) => !session.inputNames.includes(name)),
      ...OUTPUTS.filter((name) => !session.outputNames.includes(name)),
    ];
    if (missing.length > 0) {
      await session.release();
      throw new Fault("graph_foreign", missing.join(", "));
    }
    const opened = new Session(session, about);
    const { C, H, W } = about.sizes;
    // Browsers translate a program once more when it has run: the first answer takes longest.
    await opened.run({ pixels: new Uint8Array(C * H * W), wanted: ["logits"] });
    return opened;
  }

  /** What the model answers to a batch of pictures. */
  async run({ pixels, wanted, positions = 1, heads }: Request): Promise<Answer> {
    const { C, H, W, L, h } = this.about.sizes;
    const count = pixels.length / (C * H * W);
    const found = await this.session.run(
      {
        pixels: new ort.Tensor("uint8", pixels, [count, C, H, W]),
        positions_gain: new ort.Tensor("float32", [positions], []),
        head_gains: new ort.Tensor("float32", heads ?? new Float32Array(L * h).fill(1), [L, h]),
      },
      wanted,
    );
    return Object.fromEntries(
      wanted.map((name) => [
        name,
        { data: found[name].data as Float32Array, shape: [...found[name].dims] },
      ]),
    );
  }

  async close(): Promise<void> {
    await this.session.release();
  }
}

/** A graph's description, without computing anything. */
export function aboutOf(file: Uint8Array): About {
  if (file.length > MOST_BYTES) throw new Fault("graph_large");
  const text = metadataOf(file).get("vitlit");
  if (text === undefined) throw new Fault("graph_foreign");
  let about: About;
  try {
    about = JSON.parse(text);
  } catch {
    throw new Fault("graph_foreign");
  }
  if (about.format > FORMAT) throw new Fault("graph_newer", String(about.format));
  if (!about.sizes || !Array.isArray(about.classes)) throw new Fault("graph_foreign");
  return about;
}
