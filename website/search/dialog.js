// The search dialog: what opens it, what it shows, and where it leads. Ranking and index are loaded
// when the field is focused for the first time.
(() => {
  "use strict";
  const dialog = document.getElementById("search-dialog");
  const field = dialog.querySelector("input");
  const state = dialog.querySelector(".search__state");
  const list = dialog.querySelector(".search__results");
  const says = dialog.dataset;
  const EXCERPT = document.documentElement.lang === "zh" ? 80 : 170;
  const MARKED = 8; // words that are marked on the page which was found
  const TYPED = "input:not([type=checkbox], [type=radio]), select, textarea";

  let index;
  const script = (address) => new Promise((resolve, reject) => {
    const element = document.createElement("script");
    Object.assign(element, { src: address, onload: resolve, onerror: reject });
    document.head.append(element);
  });

  function load() {
    index ??= Promise.all([script(says.rank), script(says.sections)])
      .then(() => self.vitlitRank.Index.of(self.vitlitBook));
    index.catch(() => { index = undefined; }); // the next try may succeed
    return index;
  }

  const element = (tag, name, ...content) => {
    const made = document.createElement(tag);
    if (name) made.className = name;
    made.append(...content);
    return made;
  };

  function marked(text, terms) {
    const pieces = [];
    let end = 0;
    for (const [from, to] of self.vitlitRank.marks(text, terms)) {
      pieces.push(text.slice(end, from), element("mark", "", text.slice(from, to)));
      end = to;
    }
    return [...pieces, text.slice(end)];
  }

  function addressOf({ page: [address], id }, found) {
    const folder = location.protocol === "file:" && /(^|\/)$/.test(address);
    const file = folder ? `${address}index.html` : address || ".";
    const target = new URL(file, new URL(says.base, location.href));
    const here = target.pathname === location.pathname;
    if (!here && found.length) target.searchParams.set("h", found.join(" "));
    target.hash = id;
    return target.href;
  }

  function item({ section, terms }) {
    const text = self.vitlitRank.excerpt(section.text, terms, EXCERPT);
    const shown = `${section.title} ${text}`;
    const spans = self.vitlitRank.marks(shown, terms);
    const found = new Set(spans.map(([from, to]) => shown.slice(from, to).toLowerCase()));
    const link = element("a", "search__result");
    link.href = addressOf(section, [...found].slice(0, MARKED));
    if (section.id) link.append(element("small", "search__page", section.page[1]));
    link.append(
      element("strong", "search__title", ...marked(section.title, terms)),
      element("span", "search__text", ...marked(text, terms)),
    );
    return element("li", "", link);
  }

  async function show() {
    const query = field.value.trim();
    list.scrollTop = 0;
    if (!query) {
      list.replaceChildren();
      state.textContent = says.hint;
      return;
    }
    try {
      if (!self.vitlitBook) state.textContent = says.loading;
      const { results, missing } = (await load()).search(query);
      if (query !== field.value.trim()) return; // typed on meanwhile
      list.replaceChildren(...results.map(item));
      state.textContent = results.length ? says.found.replace("{}", results.length) : says.none;
      if (results.length && missing.length) state.append(" · ", says.missing.replace("{}", missing.join(", ")));
    } catch {
      state.textContent = says.failed;
    }
  }

  function open() {
    if (dialog.open) return;
    dialog.showModal();
    field.focus();
    field.select();
  }

  document.querySelector(".search-open").addEventListener("click", open);
  addEventListener("keydown", (event) => {
    const { target } = event;
    if (event.defaultPrevented || event.isComposing || event.altKey || dialog.open) return;
    if (target.isContentEditable || target.closest?.(TYPED)) return;
    const held = event.ctrlKey || event.metaKey;
    if (held ? event.key === "k" : ["/", "s", "f"].includes(event.key)) {
      event.preventDefault();
      open();
    }
  });

  field.addEventListener("focus", () => load().catch(() => {}));
  field.addEventListener("input", (event) => event.isComposing || show());
  field.addEventListener("compositionend", show);

  // Arrows walk from the field through the results, Enter opens the first one, letters go on typing.
  dialog.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    const stops = [field, ...list.querySelectorAll("a")];
    const here = stops.indexOf(document.activeElement);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && here >= 0) {
      event.preventDefault();
      const next = stops[(here + step + stops.length) % stops.length];
      next.focus();
      next.scrollIntoView({ block: "nearest" });
    } else if (event.key === "Enter" && here === 0) {
      event.preventDefault();
      stops[1]?.click();
    } else if (here > 0 && /^\S$/u.test(event.key) && !event.ctrlKey && !event.metaKey) {
      field.focus();
    }
  });

  // A tap beside the dialog closes it, and so does a result: it may be on this page.
  dialog.addEventListener("click", ({ target }) => {
    if (target === dialog || target.closest("a, .search__close")) dialog.close();
  });
  // On a phone the keyboard makes way for the results.
  list.addEventListener("touchmove", () => field.blur(), { passive: true });

  // Marks what led here, in browsers that can do so without changing the page.
  function highlight(wanted) {
    if (!wanted.length || !self.Highlight) return;
    const letter = "[\\p{L}\\p{N}]";
    const Latin = (word) => /\p{Script=Han}/u.test(word) ? word : `(?<!${letter})${word}(?!${letter})`;
    const escaped = wanted.map((word) => Latin(word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")));
    const expression = new RegExp(escaped.join("|"), "giu");
    const walker = document.createTreeWalker(document.querySelector(".md-content"), NodeFilter.SHOW_TEXT);
    const ranges = [];
    while (walker.nextNode()) {
      const { currentNode: node } = walker;
      if (node.parentElement.closest("pre, script, style, .katex")) continue;
      for (const match of node.data.matchAll(expression)) {
        ranges.push(new StaticRange({
          startContainer: node, startOffset: match.index, endContainer: node, endOffset: match.index + match[0].length,
        }));
      }
    }
    CSS.highlights.set("search", new Highlight(...ranges));
  }

  const led = new URL(location.href).searchParams.get("h");
  if (led) highlight(led.split(" ").filter(Boolean));
  show();
})();
