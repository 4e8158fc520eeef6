// Ranks the book's sections for what a reader types. It knows no page: the same file can be tried
// without a browser. website/search/index.py says what it is given.
(() => {
  "use strict";

  // A run of Chinese characters, or letters and digits that hyphens and the like may join.
  const HAN = /\p{Script=Han}/u;
  const LETTERS = "(?:(?!\\p{Script=Han})[\\p{L}\\p{N}])+";
  const RUN = new RegExp(`√|\\p{Script=Han}+|${LETTERS}(?:[-_./'’\u2011]${LETTERS})*`, "gu");
  const HUMP = /(?<=\p{Ll})(?=\p{Lu}\p{Ll})/u; // as in LayerNorm

  // Words that say nothing of what is looked for. A query of nothing else is searched as it is.
  const STOP = new Set(
    ("a about am an and any are as at be by can could do does for from get has have how i if in into"
      + " is it its me my of on or so that the there these they this to up use was we what when where"
      + " which who why will with you your").split(" "),
  );
  const STOP_HAN = /为什么|是什么|什么|怎么[样办]?|怎样|如何|为何|多少|哪[些个]|需要|应该|可以|是否|能否|[的了吗呢是]/gu;

  // What a word loses so that its forms meet: plural and singular, verb and noun, and what British
  // and American writers spell differently. What is left need be no word.
  const ENDINGS = [
    [/['’]s?$/, ""], [/ies$/, "y"], [/(ss|x|ch|sh)es$/, "$1"], [/([^aius])s$/, "$1"],
    [/(..)our/, "$1or"], [/ence?(?=d$|$)/, "ens"], [/(..)tre$/, "$1ter"], [/ys(e|ed|er|ing)$/, "yz$1"],
    [/(...)i[sz](?:e|er|ed|ing|ation)$/, "$1"], [/(..)if(?:y|ied|ier|ication)$/, "$1if"],
    [/(...)(?:ational|ation|ating|ated|ate|ator)$/, "$1"], [/(....)(?:ally|al|ly)$/, "$1"],
    [/ell(?:ing|ed)$/, "el"], [/([aeiouy])([bdgmnprt])\2(?:ing|ed)$/, "$1$2"],
    [/([aeiouy].*)(?:ing|ed)$/, "$1"], [/(..)e$/, "$1"],
  ];
  const stems = new Map();

  function stem(word) {
    if (!stems.has(word)) {
      const plain = word.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
      const whole = plain.length < 4 || /\d/.test(plain);
      const cut = (left, [ending, rest]) => left.replace(ending, rest);
      stems.set(word, whole ? plain : ENDINGS.reduce(cut, plain));
    }
    return stems.get(word);
  }

  // The words of a text, each a list of {term, start, end}: its parts in order, and with `joined`
  // the parts written as one. Chinese has no blanks: every pair of neighbors is a part.
  function* runs(text) {
    for (const { 0: run, index } of text.matchAll(RUN)) {
      if (run === "√") yield [{ term: "sqrt", start: index, end: index + 1 }];
      else if (HAN.test(run)) yield* pairs(run, index);
      else yield joined(run, index);
    }
  }

  function* pairs(run, index) {
    const kept = run.replace(STOP_HAN, (word) => " ".repeat(word.length));
    for (const { 0: piece, index: at } of kept.matchAll(/\S+/g)) {
      const length = Math.min(2, piece.length);
      yield Array.from({ length: piece.length - length + 1 }, (_, i) => ({
        term: piece.slice(i, i + length), start: index + at + i, end: index + at + i + length,
      }));
    }
  }

  function joined(run, index) {
    const parts = [];
    for (const { 0: part, index: at } of run.matchAll(/[\p{L}\p{N}]+/gu)) {
      let start = index + at;
      for (const piece of part.split(HUMP)) {
        parts.push({ term: stem(piece), raw: piece, start, end: (start += piece.length) });
      }
    }
    const whole = (some) => ({
      term: stem(some.map(({ raw }) => raw).join("")),
      joined: true,
      start: some[0].start,
      end: some.at(-1).end,
    });
    const several = parts.slice(1).map((part, i) => whole([parts[i], part]));
    return [...parts, ...several, ...(parts.length > 2 ? [whole(parts)] : [])];
  }

  const words = (text) => [...runs(text)].flat();
  const parts = (text) => words(text).filter(({ joined }) => !joined);
  const terms = (text) => new Set(words(text).map(({ term }) => term));

  // Terms of a name that count: without stop words, unless there is nothing else.
  function telling(text) {
    const all = [...terms(text)];
    const some = all.filter((term) => !STOP.has(term));
    return some.length ? some : all;
  }

  // Letters to be changed, left out, added or swapped between two words; more than `most` is not told.
  function distance(one, other, most) {
    if (Math.abs(one.length - other.length) > most) return most + 1;
    let before = [];
    let last = Array.from({ length: other.length + 1 }, (_, j) => j);
    for (let i = 1; i <= one.length; i++) {
      const row = [i];
      for (let j = 1; j <= other.length; j++) {
        const same = one[i - 1] === other[j - 1];
        row[j] = Math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (same ? 0 : 1));
        if (i > 1 && j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1]) {
          row[j] = Math.min(row[j], before[j - 2] + 1);
        }
      }
      [before, last] = [last, row];
    }
    return last.at(-1);
  }

  // How much a find counts that is not the word itself.
  const ALIKE = { same: 0.8, begun: 0.7, misspelled: 0.6 };
  // BM25's: when more of a word stops to count, and how far long sections are held back.
  const ENOUGH = 1.2;
  const LENGTH = 0.7;
  const TITLE = 4; // what a word in a name counts, in words of the text
  const NAMED = 2; // what a name that says the query counts, in texts that have all of it
  const SLICE = 10; // milliseconds
  const PRECISE = 0.6; // how much of that is for a name that says nothing else

  class Index {
    sections = [];
    postings = new Map(); // term → section → how much of it is there
    same = new Map(); // what one types → the same in other words, each a list of terms

    // The index of a `book`: {pages: [[address, title, weight]], sections: [[page, id, title, text,
    // names]], same: [names]}; names stand in one string, with commas between them. It is made in
    // slices, so that a slow machine can show what is typed meanwhile.
    static async of(book) {
      const made = new Index();
      let since = performance.now();
      for (const [page, id, title, text, names] of book.sections) {
        made.add(book.pages[page], id, title, text, names.split(", ").filter(Boolean));
        if (performance.now() - since > SLICE) {
          await new Promise((resume) => { setTimeout(resume); });
          since = performance.now();
        }
      }
      made.average = made.sections.reduce((sum, { length }) => sum + length, 1) / made.sections.length;
      for (const group of book.same) {
        const lists = group.split(", ").map((name) => parts(name).map(({ term }) => term));
        lists.forEach((list) => made.same.set(list.join(" "), lists.filter((other) => other !== list)));
      }
      return made;
    }

    add(page, id, title, text, others) {
      const names = [title, ...others].map(telling);
      const terms = words(text).map(({ term }) => term);
      const section = { order: this.sections.length, page, id, title, text, names, length: terms.length };
      this.sections.push(section);
      terms.forEach((term) => this.count(term, section, 1));
      new Set(names.flat()).forEach((term) => this.count(term, section, TITLE));
    }

    count(term, section, much) {
      let found = this.postings.get(term);
      if (!found) this.postings.set(term, (found = new Map()));
      found.set(section, (found.get(section) ?? 0) + much);
    }

    // How rare a word is that stands in so many sections.
    rarity(count) {
      return Math.log(1 + this.sections.length / (1 + count));
    }

    // What is looked for: for each word of the query the ways to find it.
    slots(query) {
      const slots = parts(query).map(({ term, raw }) => ({ term, raw, ways: new Map([[term, 1]]) }));
      slots.slice(1).forEach((slot, i) => { // warm up, warmup
        if (slot.raw && slots[i].raw) {
          const together = stem(slots[i].raw + slot.raw);
          if (this.postings.has(together)) [slots[i], slot].forEach(({ ways }) => ways.set(together, 1));
        }
      });
      for (let from = 0; from < slots.length; from++) {
        for (let to = from + 1; to <= Math.min(slots.length, from + 6); to++) {
          const phrase = slots.slice(from, to);
          for (const list of this.same.get(phrase.map(({ term }) => term).join(" ")) ?? []) {
            const way = list.join(" ");
            phrase.forEach(({ ways }) => ways.has(way) || ways.set(way, ALIKE.same));
          }
        }
      }
      const last = slots.at(-1);
      if (last && /[\p{L}\p{N}]$/u.test(query)) this.begin(last);
      slots.forEach((slot) => this.find(slot));
      slots.forEach((slot) => this.guess(slot));
      return slots;
    }

    // The last word may not be typed to its end.
    begin({ term, raw, ways }) {
      const start = (raw ?? term).toLowerCase();
      if (raw && start.length < 2) return;
      for (const known of this.postings.keys()) {
        const fits = raw ? known.startsWith(start) : term.length === 1 && known.includes(term);
        if (fits && !ways.has(known)) ways.set(known, ALIKE.begun);
      }
    }

    // The sections that have a word, in one of its ways, with how much of it.
    find(slot) {
      slot.found = new Map();
      for (const [way, factor] of slot.ways) {
        const [first, ...rest] = way.split(" ").map((term) => this.postings.get(term) ?? new Map());
        for (const [section, much] of first) {
          const least = Math.min(much, ...rest.map((other) => other.get(section) ?? 0));
          const worth = least * factor;
          if (worth > (slot.found.get(section) ?? 0)) slot.found.set(section, worth);
        }
      }
      slot.rarity = this.rarity(slot.found.size);
    }

    // A word that stands nowhere may have an ending that is not known, or not typed to its end; or
    // it is misspelled.
    guess(slot) {
      if (slot.found.size || !slot.raw || slot.term.length < 5) return;
      const most = slot.term.length < 8 ? 1 : 2;
      for (const known of this.postings.keys()) {
        const stem = known.length >= Math.max(4, slot.term.length / 2);
        if (stem && slot.term.startsWith(known)) slot.ways.set(known, ALIKE.begun);
        else if (distance(slot.term, known, most) <= most) slot.ways.set(known, ALIKE.misspelled);
      }
      this.find(slot);
    }

    // How well one of the section's names fits: 1 if query and name say the same. Several names
    // that share the words of the query among them count, too.
    named(section, slots, asked) {
      let best = 0;
      const shared = slots.map(() => 0);
      for (const name of section.names) {
        const covered = new Set();
        const hits = slots.map(({ ways }) => {
          let most = 0;
          for (const [way, factor] of ways) {
            const list = way.split(" ");
            if (list.every((term) => name.includes(term))) {
              list.forEach((term) => covered.add(term));
              most = Math.max(most, factor);
            }
          }
          return most;
        });
        if (covered.size) {
          hits.forEach((hit, i) => { shared[i] = Math.max(shared[i], hit); });
          const own = this.weight([...covered]) / this.weight(name);
          best = Math.max(best, this.share(slots, hits, asked) ** 2 * (1 - PRECISE + PRECISE * own));
        }
      }
      return Math.max(best, (1 - PRECISE) * this.share(slots, shared, asked) ** 2);
    }

    // The part of the query that is hit, its rare words before its common ones.
    share(slots, hits, asked) {
      return slots.reduce((sum, { rarity }, i) => sum + rarity * hits[i], 0) / asked;
    }

    weight(terms) {
      return terms.reduce((sum, term) => sum + this.rarity(this.postings.get(term)?.size ?? 0), 0);
    }

    // The best sections for a query, best first, and the words of it that stand nowhere:
    // {results: [{section, score, terms}], missing: [word]}.
    search(query, most = 15) {
      const all = this.slots(query.trim().normalize("NFKC"));
      const known = all.filter(({ found }) => found.size);
      const saying = known.filter(({ term }) => !STOP.has(term));
      const slots = saying.length ? saying : known;
      const asked = slots.reduce((sum, { rarity }) => sum + rarity, 0);
      const candidates = new Set(slots.flatMap(({ found }) => [...found.keys()]));
      const ways = slots.flatMap((slot) => [...slot.ways.keys()]);
      const terms = new Set(ways.flatMap((way) => way.split(" ")));
      const results = [];
      for (const section of candidates) {
        let text = 0;
        let covered = 0;
        const long = ENOUGH * (1 - LENGTH + (LENGTH * section.length) / this.average);
        for (const { found, rarity } of slots) {
          const much = found.get(section);
          if (!much) continue;
          covered += rarity;
          text += (rarity * much) / (much + long);
        }
        const named = this.named(section, slots, asked);
        const score = section.page[2] * ((text * covered) / asked ** 2 + NAMED * named);
        results.push({ section, score, terms });
      }
      results.sort((a, b) => b.score - a.score || a.section.order - b.section.order);
      const missing = all.filter(({ term, raw, found }) => raw && !found.size && !STOP.has(term));
      return { results: results.slice(0, most), missing: missing.map(({ raw }) => raw) };
    }
  }

  // Where a text has one of the terms: [start, end] in order, neighbors made one.
  function marks(text, wanted) {
    const spans = [];
    for (const { term, start, end } of words(text).sort((a, b) => a.start - b.start)) {
      if (!wanted.has(term) || STOP.has(term)) continue;
      const last = spans.at(-1);
      if (last && start <= last[1]) last[1] = Math.max(last[1], end);
      else spans.push([start, end]);
    }
    return spans;
  }

  // The part of a text, about so many characters, in which most of the terms stand.
  function excerpt(text, wanted, size) {
    const spans = marks(text, wanted);
    let [best, most] = [0, 0];
    for (const [start] of spans) {
      const inside = spans.filter(([a, b]) => a >= start && b <= start + size * 0.8);
      const distinct = new Set(inside.map(([a, b]) => text.slice(a, b).toLowerCase())).size;
      if (distinct > most) [best, most] = [start, distinct];
    }
    const from = best < size * 0.2 ? 0 : best - Math.round(size * 0.2);
    const before = from && text.slice(from, best).replace(/^.*?[\s，。；、]/u, "");
    const rest = text.slice(best, from + size);
    const whole = from + size >= text.length;
    const after = whole ? rest : rest.replace(/[\s，。；、][^\s，。；、]*$/u, "");
    return (from ? `… ${before}` : text.slice(0, best)) + after + (whole ? "" : " …");
  }

  self.vitlitRank = { Index, excerpt, marks, stem };
})();
