/** Which picture: one of those that the figure offers, or the reader's own. */

import { button, element } from "../dom";
import { forget, onPicture, recall, remember } from "../state";
import { word } from "../words";

export interface Choice {
  file: Blob;
  words: string; // what is to be seen
  offered: number | null; // its place among the offered; null of the reader's own
}

export class Chooser {
  readonly root: HTMLElement;
  private readonly offered: HTMLButtonElement[];
  private readonly own: HTMLButtonElement;
  private readonly remove: HTMLButtonElement;

  /** `place` is the component: its figure's pictures are offered, and files may be dropped on it. */
  constructor(
    place: HTMLElement,
    private readonly chosen: (choice: Choice) => void,
  ) {
    const pictures = [...place.querySelectorAll<HTMLImageElement>("img[data-offered]")];
    this.offered = pictures.map((picture, index) => {
      const shown = element("img", { src: picture.src, alt: picture.alt, width: 32, height: 32 });
      const choose = () => void this.offer(index);
      return element("button", { type: "button", onclick: choose }, shown);
    });
    const field = element("input", { type: "file", accept: "image/*", hidden: true });
    field.onchange = () => {
      const [file] = field.files ?? [];
      field.value = ""; // so that the same file can be chosen again
      if (file) void remember(file);
    };
    this.own = button(word("own"), () => field.click());
    this.remove = button(word("forget"), () => void forget());
    this.root = element(
      "div",
      { className: "live-chooser" },
      element("div", { role: "group", ariaLabel: word("offered") }, ...this.offered),
      element("p", { className: "live-own" }, this.own, this.remove, field),
      element("p", { className: "live-note" }, word("private")),
    );
    takeFiles(place);
    onPicture((file) => {
      this.remove.hidden = file === null;
      if (file) this.take(file);
      else void this.offer(0);
    });
  }

  /** Begin with an offered picture that is asked for, else the reader's own, else the first. */
  async begin(asked: string | null): Promise<void> {
    const own = await recall();
    this.remove.hidden = own === null;
    if (own && asked === null) return this.take(own);
    const index = Number(asked);
    await this.offer(Number.isInteger(index) && index in this.offered ? index : 0);
  }

  private async offer(index: number): Promise<void> {
    this.press(this.offered[index]);
    const { src, alt } = this.offered[index].firstElementChild as HTMLImageElement;
    const file = await (await fetch(src)).blob();
    this.chosen({ file, words: alt, offered: index });
  }

  private take(file: Blob): void {
    this.press(this.own);
    this.chosen({ file, words: word("own"), offered: null });
  }

  private press(pressed: HTMLButtonElement): void {
    for (const each of [...this.offered, this.own]) each.ariaPressed = String(each === pressed);
  }
}

/** Files that are dropped on the component, or pasted while it is to be seen. */
function takeFiles(place: HTMLElement): void {
  place.addEventListener("dragover", (event) => event.preventDefault());
  place.addEventListener("drop", (event) => {
    event.preventDefault();
    const [file] = event.dataTransfer?.files ?? [];
    if (file) void remember(file);
  });
  document.addEventListener("paste", (event) => {
    const [file] = event.clipboardData?.files ?? [];
    if (file) void remember(file);
  });
}
