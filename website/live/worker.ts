/** The worker: one task after the other, so that a page never waits for what is computed. */

import { download } from "./download";
import { Fault, faultOf } from "./faults";
import * as files from "./files";
import type { Question, Reply, Task } from "./messages";
import { pixelsOf } from "./pictures";
import { receiptOf } from "./safetensors";
import { type About, aboutOf, prepare, Session } from "./session";

const waiting: Task[] = [];
let busy = false;
let prepared: Promise<void> | null = null;
let session: Session | null = null;
let book: Session | null = null;

self.onmessage = ({ data }: MessageEvent<Question>) => {
  if (data.kind === "cancel") {
    const place = waiting.findIndex((task) => task.id === data.id);
    if (place >= 0) waiting.splice(place, 1);
    return;
  }
  waiting.push(data);
  if (!busy) void work();
};

async function work(): Promise<void> {
  busy = true;
  // A breath between two tasks, in which a cancellation can arrive.
  for (; waiting.length > 0; await new Promise((resume) => setTimeout(resume))) {
    const task = waiting.shift()!;
    try {
      const back = await done(task);
      reply({ id: task.id, kind: "done", back }, buffersOf(back));
    } catch (error) {
      const { code, detail } = faultOf(error);
      reply({ id: task.id, kind: "fault", code, detail });
    }
  }
  busy = false;
}

async function done(task: Task): Promise<unknown> {
  switch (task.kind) {
    case "start":
      return start(task.id, task.given.graph);
    case "fit": {
      const { C, H, W } = current().about.sizes;
      return pixelsOf(task.given.file, { height: H, width: W }, C);
    }
    case "run":
      return current().run(task.given);
    case "receipt":
      return files.receipt ? receiptOf(await download(files.receipt)) : null;
  }
}

async function start(id: number, own: Blob | null): Promise<About> {
  if (own) aboutOf(new Uint8Array(await own.arrayBuffer())); // before anything is downloaded
  if (!own && !files.graph) throw new Fault("graph_missing");
  const stored = own || book ? [files.runtime] : [files.runtime, files.graph!];
  const total = stored.reduce((sum, file) => sum + file.bytes, 0);
  let loaded = 0;
  const progress = (bytes: number) => {
    loaded += bytes;
    reply({ id, kind: "progress", done: loaded, total });
  };
  const needed = book ?? own;
  const [, graph] = await Promise.all([
    (prepared ??= runtime(progress)),
    needed ? null : download(files.graph!, progress),
  ]).catch((error: unknown) => {
    prepared = null; // to be tried again
    throw error;
  });
  if (session !== book) await session?.close();
  if (own) session = await Session.open(new Uint8Array(await own.arrayBuffer()));
  else session = book ??= await Session.open(new Uint8Array(graph!));
  return session.about;
}

async function runtime(progress: (bytes: number) => void): Promise<void> {
  if (typeof WebAssembly === "undefined") throw new Fault("webassembly");
  prepare(await download(files.runtime, progress));
}

function current(): Session {
  if (!session) throw new Fault("runtime", "not started");
  return session;
}

/** What need not be copied on its way to the page. */
function buffersOf(back: unknown): Transferable[] {
  if (back instanceof Uint8Array) return [back.buffer];
  return [];
}

function reply(message: Reply, transfer: Transferable[] = []): void {
  self.postMessage(message, { transfer });
}
