/** What a page with components loads at first. The model comes when a reader asks for it. */

const ELEMENTS: Record<string, () => Promise<CustomElementConstructor>> = {
  "vit-answer": async () => (await import("./elements/answer")).Answer,
  "vit-receipt": async () => (await import("./elements/receipt")).Receipt,
};

for (const [name, load] of Object.entries(ELEMENTS)) {
  if (document.querySelector(name)) void load().then((kind) => customElements.define(name, kind));
}
