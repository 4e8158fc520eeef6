/** An answer as a bar a class: all classes in their own order, or of many the ten likeliest. */

import { element } from "../dom";
import { number } from "../words";

const ALL = 20; // classes up to which each keeps its place
const LIKELIEST = 10;

/** `before` is an answer to compare with: a mark on each bar. */
export function bars(classes: string[], shares: number[], before: number[] | null): HTMLElement {
  const order = shares.map((_, k) => k);
  const ranked = [...order].sort((a, b) => shares[b] - shares[a]);
  const shown = classes.length > ALL ? ranked.slice(0, LIKELIEST) : order;
  const rows = shown.map((k) => {
    const bar = element("span", { className: "live-bar", ariaHidden: "true" });
    bar.style.setProperty("--share", String(shares[k]));
    if (before) bar.style.setProperty("--before", String(before[k]));
    bar.toggleAttribute("data-before", before !== null);
    const percent = element("span", { className: "live-percent" }, `${number(100 * shares[k], 1)} %`);
    const row = element("li", {}, element("span", {}, classes[k]), bar, percent);
    row.toggleAttribute("data-best", k === ranked[0]);
    return row;
  });
  return element("ol", { className: "live-bars" }, ...rows);
}

export function softmax(logits: ArrayLike<number>): number[] {
  const values = Array.from(logits);
  const most = Math.max(...values);
  const grown = values.map((value) => Math.exp(value - most));
  const sum = grown.reduce((total, value) => total + value, 0);
  return grown.map((value) => value / sum);
}

/** The largest difference between two rows of numbers. */
export function apart(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0);
}
