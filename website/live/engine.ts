/** The page's side of the worker: one for all components, started when a reader first asks. */

import { Fault } from "./faults";
import type { Kind, Reply, Task, Tasks } from "./messages";
import type { Receipt } from "./safetensors";
import type { About, Answer, Request } from "./session";

declare const WORKER: string;

export type Progress = (done: number, total: number) => void;

interface Pending {
  resolve(value: unknown): void;
  reject(error: unknown): void;
  progress: Progress;
}

export class Engine {
  private worker: Worker | null = null;
  private started: Promise<About> | null = null;
  private readonly pending = new Map<number, Pending>();
  private readonly listeners = new Set<Progress>();
  private last = 0;

  /** Load the model, once for all who ask. All of them hear of the progress. */
  start(progress: Progress = () => {}): Promise<About> {
    this.listeners.add(progress);
    this.started ??= this.ask("start", { graph: null }, undefined, (done, total) => {
      for (const listener of this.listeners) listener(done, total);
    }).catch((error: unknown) => {
      this.started = null; // to be tried again
      throw error;
    });
    return this.started.finally(() => this.listeners.delete(progress));
  }

  /** Put another graph in the place of the book's model, or that again. */
  open(graph: Blob | null): Promise<About> {
    return (this.started = this.ask("start", { graph }));
  }

  /** A picture's file as the model takes it. */
  fit(file: Blob, signal?: AbortSignal): Promise<Uint8Array> {
    return this.ask("fit", { file }, signal);
  }

  run(request: Request, signal?: AbortSignal): Promise<Answer> {
    return this.ask("run", request, signal);
  }

  receipt(): Promise<Receipt | null> {
    return this.ask("receipt", {});
  }

  private ask<K extends Kind>(
    kind: K,
    given: Tasks[K]["given"],
    signal?: AbortSignal,
    progress: Progress = () => {},
  ): Promise<Tasks[K]["back"]> {
    signal?.throwIfAborted();
    const id = ++this.last;
    return new Promise((resolve, reject) => {
      const worker = (this.worker ??= this.begin());
      this.pending.set(id, { resolve: resolve as (value: unknown) => void, reject, progress });
      worker.postMessage({ id, kind, given } as Task);
      signal?.addEventListener("abort", () => {
        worker.postMessage({ id, kind: "cancel" });
        this.pending.delete(id);
        reject(signal.reason);
      });
    });
  }

  private begin(): Worker {
    if (location.protocol === "file:") throw new Fault("disk");
    if (typeof WebAssembly === "undefined") throw new Fault("webassembly");
    const worker = new Worker(new URL(WORKER, import.meta.url), { type: "module" });
    worker.onmessage = ({ data }: MessageEvent<Reply>) => this.hear(data);
    worker.onerror = (event) => {
      event.preventDefault();
      this.fail(new Fault("network", event.message));
    };
    return worker;
  }

  private hear(reply: Reply): void {
    const asked = this.pending.get(reply.id);
    if (!asked) return;
    if (reply.kind === "progress") return asked.progress(reply.done, reply.total);
    this.pending.delete(reply.id);
    if (reply.kind === "done") asked.resolve(reply.back);
    else asked.reject(new Fault(reply.code, reply.detail));
  }

  /** The worker itself could not be loaded, or broke down: whoever waits hears of it. */
  private fail(fault: Fault): void {
    this.worker?.terminate();
    this.worker = null;
    this.started = null;
    for (const { reject } of this.pending.values()) reject(fault);
    this.pending.clear();
  }
}

export const engine = new Engine();
