/** The words that components show, in the page's language: `live` in mkdocs.yml. */

let known: Record<string, string> | null = null;

/** A word of the page, with {names} filled in. */
export function word(key: string, values: Record<string, string | number> = {}): string {
  known ??= JSON.parse(document.getElementById("live-words")?.textContent ?? "{}");
  const text = known![key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

/** A number in the page's language. */
export function number(value: number, digits = 0): string {
  const how = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return value.toLocaleString(document.documentElement.lang, how);
}

/** A difference: with two digits after the point, or where that would be none, as 1.2e-6. */
export function small(value: number): string {
  return value >= 0.01 || value === 0 ? number(value, 2) : value.toExponential(1);
}
