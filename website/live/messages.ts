/** What a page and its worker say to each other. */

import type { Code } from "./faults";
import type { Receipt } from "./safetensors";
import type { About, Answer, Request } from "./session";

/** Each kind of task with what it is given and what comes back. */
export interface Tasks {
  /** Load the book's model, or another graph. */
  start: { given: { graph: Blob | null }; back: About };
  /** A picture's file as the model takes it, (C, H, W). */
  fit: { given: { file: Blob }; back: Uint8Array };
  /** Ask the model. */
  run: { given: Request; back: Answer };
  /** The stored test pictures with PyTorch's answers; null where the book has none. */
  receipt: { given: object; back: Receipt | null };
}

export type Kind = keyof Tasks;

export type Task = { [K in Kind]: { id: number; kind: K; given: Tasks[K]["given"] } }[Kind];

export type Question = Task | { id: number; kind: "cancel" };

export type Reply =
  | { id: number; kind: "done"; back: unknown }
  | { id: number; kind: "progress"; done: number; total: number }
  | { id: number; kind: "fault"; code: Code; detail: string };
