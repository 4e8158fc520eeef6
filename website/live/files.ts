/** What the build puts beside the scripts, see website/bundle.py: names with a hash of the content. */

export interface Stored {
  name: string;
  bytes: number;
}

declare const FILES: { runtime: Stored; graph: Stored | null; receipt: Stored | null };

export const runtime = FILES.runtime;
/** The book's model and its receipt; null where nobody has written them yet. */
export const { graph, receipt } = FILES;
