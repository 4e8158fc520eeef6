/**
 * <vit-answer>: what the model answers to a picture, with its positions on or off and its patches in
 * order or shuffled. With the attribute `address` its state stands in the page's address.
 */

import { button, element } from "../dom";
import { engine } from "../engine";
import type { About } from "../session";
import { address, note } from "../state";
import { number, small, word } from "../words";
import { apart, bars, softmax } from "./bars";
import { LiveElement } from "./base";
import { type Choice, Chooser } from "./chooser";
import { arranged, draw, shuffled } from "./picture";

export class Answer extends LiveElement {
  private about!: About;
  private pixels: Uint8Array | null = null;
  private choice: Choice | null = null;
  private seed = 0; // of the patches' order; 0 leaves them where they were
  private readonly canvas = element("canvas", { role: "img" });
  private readonly positions = element("input", { type: "checkbox", checked: true });
  private readonly answer = element("div");
  private readonly change = element("p", { className: "live-note" });
  private readonly said = element("p", { className: "live-said", ariaLive: "polite" });
  private ordered!: HTMLButtonElement;

  protected async build(about: About): Promise<HTMLElement> {
    this.about = about;
    const { positions, seed, picture } = this.linked();
    this.positions.checked = positions;
    this.seed = seed;
    this.positions.onchange = () => void this.ask();
    this.ordered = button(word("order"), () => this.arrange(0));
    const shuffle = button(word("shuffle"), () => this.arrange(this.seed + 1));
    const chooser = new Chooser(this, (choice) => void this.look(choice));
    const built = element(
      "div",
      { className: "live-columns" },
      element("div", { className: "live-picture" }, this.canvas, chooser.root),
      element(
        "div",
        {},
        element(
          "div",
          { className: "live-controls", role: "group", ariaLabel: word("change") },
          element("label", {}, this.positions, " ", word("positions")),
          shuffle,
          this.ordered,
        ),
        this.said,
        this.answer,
        this.change,
      ),
    );
    await chooser.begin(picture);
    return built;
  }

  private async look(choice: Choice): Promise<void> {
    await this.latest(async (signal) => {
      this.pixels = await engine.fit(choice.file, signal);
      this.choice = choice;
      await this.show(signal);
    });
  }

  private arrange(seed: number): void {
    this.seed = seed;
    void this.ask();
  }

  private ask(): Promise<void> {
    return this.latest((signal) => this.show(signal));
  }

  /** Ask the model for the picture in order and, if its patches are shuffled, for that too. */
  private async show(signal: AbortSignal): Promise<void> {
    if (!this.pixels || !this.choice) return;
    const { about, seed } = this;
    const order = seed ? shuffled(about.sizes.N, seed) : null;
    const seen = order ? arranged(this.pixels, order, about) : this.pixels;
    const pixels = new Uint8Array(order ? [...this.pixels, ...seen] : seen);
    const positions = this.positions.checked ? 1 : 0;
    const start = performance.now();
    const { logits } = await engine.run({ pixels, positions, wanted: ["logits"] }, signal);
    const time = performance.now() - start;
    const K = about.sizes.K;
    const now = logits!.data.slice(-K);
    const before = order ? logits!.data.slice(0, K) : null;
    const shares = softmax(now);
    const best = shares.indexOf(Math.max(...shares));

    draw(this.canvas, seen, about);
    this.canvas.ariaLabel = `${this.choice.words}, ${word(order ? "shuffled" : "in_order")}`;
    this.ordered.disabled = !order;
    this.said.textContent = word("says", {
      name: about.classes[best],
      percent: number(100 * shares[best], 1),
      milliseconds: number(time),
    });
    this.answer.replaceChildren(bars(about.classes, shares, before && softmax(before)));
    this.change.textContent = before
      ? word("moved", { most: small(apart(now, before)) })
      : word("not_moved");
    this.link();
  }

  /** What the address asks for, where this component listens to it. */
  private linked(): { positions: boolean; seed: number; picture: string | null } {
    const asked = this.hasAttribute("address") ? address() : new URLSearchParams();
    return {
      positions: asked.get("positions") !== "off",
      seed: Number(asked.get("shuffle")) || 0,
      picture: asked.get("picture"),
    };
  }

  private link(): void {
    if (!this.hasAttribute("address")) return;
    const offered = this.choice!.offered; // the reader's own picture stands in no address
    note({
      picture: offered === null ? null : String(offered),
      positions: this.positions.checked ? null : "off",
      shuffle: this.seed ? String(this.seed) : null,
    });
  }
}
