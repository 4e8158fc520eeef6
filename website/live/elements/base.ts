/**
 * What all components share. The child of a component is its static figure: it stays where there is
 * no script, before a reader asks, in print, and with the reason where something fails.
 */

import { button, element } from "../dom";
import { engine } from "../engine";
import { type Fault, faultOf } from "../faults";
import type { About } from "../session";
import { number, word } from "../words";

type State = "idle" | "loading" | "live" | "failed";

export abstract class LiveElement extends HTMLElement {
  private panel: HTMLElement | null = null;
  private doing: AbortController | null = null;
  private complaint: HTMLElement | null = null;

  /** Build the component once the model is there. What it returns takes the figure's place. */
  protected abstract build(about: About): Promise<HTMLElement>;

  /** What the button says that begins it. */
  protected get invitation(): string {
    return word("begin");
  }

  connectedCallback(): void {
    if (this.panel) return;
    this.panel = element("div", { className: "live" });
    this.append(this.panel);
    this.turn(
      "idle",
      button(this.invitation, () => void this.begin()),
      element("p", { className: "live-note" }, word("cost")),
    );
  }

  /** Load the model and build the component. A second call while it loads does nothing. */
  async begin(): Promise<void> {
    if (this.dataset.state === "loading" || this.dataset.state === "live") return;
    const bar = element("progress", { max: 1, ariaLabel: word("loading") });
    const said = element("span", {}, word("loading"));
    this.turn("loading", element("p", { className: "live-note" }, bar, " ", said));
    try {
      const about = await engine.start((done, total) => {
        bar.value = done / total;
        const megabytes = (bytes: number) => number(bytes / 1e6, 1);
        said.textContent = word("loaded", { done: megabytes(done), total: megabytes(total) });
      });
      const built = await this.build(about);
      this.complaint = element("p", { className: "live-fault", role: "alert" });
      this.turn("live", built, this.complaint);
      this.panel!.focus({ preventScroll: true }); // the button that had it is gone
    } catch (error) {
      const again = button(word("again"), () => void this.begin());
      const reason = wordsOf(faultOf(error));
      this.turn("failed", element("p", { className: "live-fault", role: "alert" }, reason), again);
    }
  }

  /** Do something that a later call makes outdated: the earlier one is given up. */
  protected async latest(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    this.doing?.abort();
    const { signal } = (this.doing = new AbortController());
    this.complain(null);
    try {
      await work(signal);
    } catch (error) {
      if (!signal.aborted) this.complain(faultOf(error));
    }
  }

  /** Say what went wrong; what was shown before stays. */
  private complain(fault: Fault | null): void {
    if (this.complaint) this.complaint.textContent = fault ? wordsOf(fault) : "";
  }

  private turn(state: State, ...content: HTMLElement[]): void {
    this.dataset.state = state;
    this.panel!.tabIndex = -1;
    this.panel!.replaceChildren(...content);
  }
}

function wordsOf({ code, detail }: Fault): string {
  const words = word(`fault_${code}`);
  return detail ? `${words} (${detail})` : words;
}
