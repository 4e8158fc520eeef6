/** What an ONNX file says of itself. The runtime keeps that from JavaScript, so it is read here. */

import { Fault } from "./faults";

const METADATA = 14; // of ModelProto: messages {1: key, 2: value}
const VARINT = 0;
const EIGHT_BYTES = 1;
const MESSAGE = 2;
const FOUR_BYTES = 5;

/** The metadata of an ONNX file. Raises a Fault where it is none, or ends too early. */
export function metadataOf(file: Uint8Array): Map<string, string> {
  const found = new Map<string, string>();
  const words = new TextDecoder();
  for (const [field, content] of fieldsOf(file)) {
    if (field !== METADATA || !content) continue;
    const [key, value] = [...fieldsOf(content)].map(([, text]) => words.decode(text ?? undefined));
    found.set(key, value ?? "");
  }
  return found;
}

/** The fields of a protobuf message: number, and content where it has a length. */
function* fieldsOf(bytes: Uint8Array): Generator<[number, Uint8Array | null]> {
  let at = 0;
  const number = () => {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (at >= bytes.length) throw new Fault("graph_truncated");
      const byte = bytes[at++];
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new Fault("graph_foreign");
  };
  while (at < bytes.length) {
    const tag = number();
    const kind = tag & 7;
    if (kind === VARINT) number();
    else if (kind !== MESSAGE && kind !== EIGHT_BYTES && kind !== FOUR_BYTES) {
      throw new Fault("graph_foreign");
    }
    const length = { [VARINT]: 0, [EIGHT_BYTES]: 8, [FOUR_BYTES]: 4, [MESSAGE]: -1 }[kind]!;
    const size = length < 0 ? number() : length;
    if (at + size > bytes.length) throw new Fault("graph_truncated");
    yield [tag >>> 3, kind === MESSAGE ? bytes.subarray(at, at + size) : null];
    at += size;
  }
}
