/** Elements in one expression. Text is text: nothing that is written here becomes markup. */

export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Partial<HTMLElementTagNameMap[K]> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

export function button(words: string, press: () => void): HTMLButtonElement {
  return element("button", { type: "button", className: "live-button", onclick: press }, words);
}
