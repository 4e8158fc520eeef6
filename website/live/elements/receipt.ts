/** <vit-receipt>: the stored test pictures once more, here, and how far the logits are PyTorch's. */

import { element } from "../dom";
import { engine } from "../engine";
import { Fault } from "../faults";
import type { About } from "../session";
import { number, small, word } from "../words";
import { apart } from "./bars";
import { LiveElement } from "./base";

const BATCH = 20;

export class Receipt extends LiveElement {
  protected override get invitation(): string {
    return word("begin_receipt");
  }

  protected async build(about: About): Promise<HTMLElement> {
    const stored = await engine.receipt();
    if (!stored || stored.weights !== about.weights) throw new Fault("receipt_foreign");
    const { K, C, H, W } = about.sizes;
    const size = C * H * W;
    const found = new Float32Array(stored.count * K);
    let time = 0;
    for (let start = 0; start < stored.count; start += BATCH) {
      const pixels = stored.images.slice(start * size, (start + BATCH) * size);
      const began = performance.now();
      const { logits } = await engine.run({ pixels, wanted: ["logits"] });
      time += performance.now() - began;
      found.set(logits!.data, start * K);
    }
    const same = Array.from({ length: stored.count }, (_, i) => {
      const row = (numbers: Float32Array) => numbers.subarray(i * K, (i + 1) * K);
      return best(row(found)) === best(row(stored.logits));
    }).filter(Boolean).length;
    const largest = stored.logits.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const rows: [string, string][] = [
      [word("receipt_apart"), small(apart(found, stored.logits))],
      [word("receipt_largest"), number(largest, 2)],
      [word("receipt_same"), `${number(same)} / ${number(stored.count)}`],
      [word("receipt_time"), number(time / stored.count, 1)],
    ];
    return element(
      "dl",
      { className: "live-receipt", ariaLive: "polite" },
      ...rows.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]),
    );
  }
}

function best(row: Float32Array): number {
  return row.indexOf(Math.max(...row));
}
