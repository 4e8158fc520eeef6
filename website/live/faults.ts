/** What can go wrong, as codes; a page has the words for each (mkdocs.yml, `live`: fault_CODE). */

export const CODES = [
  "disk", // the page was opened from a file, where browsers start no worker
  "webassembly", // this browser has none, or it was switched off
  "network", // a file could not be fetched
  "graph_missing", // this copy of the book was built without its model
  "graph_foreign", // a file that is no ONNX, or none of vitlit's
  "graph_truncated", // an ONNX that ends too early
  "graph_newer", // of a format that this page does not know
  "graph_large",
  "picture_broken", // a known format that the browser cannot decode
  "picture_heic",
  "picture_large",
  "picture_none", // no picture at all
  "picture_svg", // a program may hide in one
  "receipt_foreign", // the stored answers are none of this model
  "runtime", // anything else; the detail says what
] as const;

export type Code = (typeof CODES)[number];

export class Fault extends Error {
  constructor(
    readonly code: Code,
    readonly detail = "",
  ) {
    super(detail ? `${code}: ${detail}` : code);
  }
}

/** Any error as a fault: what nobody foresaw keeps its own words as the detail. */
export function faultOf(error: unknown): Fault {
  if (error instanceof Fault) return error;
  return new Fault("runtime", error instanceof Error ? error.message : String(error));
}
