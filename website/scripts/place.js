// Where the reader is in a chapter: keeps the strip right, and goes from section to section.
(() => {
  const strip = document.querySelector(".place");
  if (!strip) return;
  const root = document.documentElement;
  const [previous, next] = strip.querySelectorAll(".place__step");
  const before = { href: previous.href, title: previous.title };
  const after = { href: next.dataset.chapter, title: next.dataset.title };
  const links = [...strip.querySelectorAll(".place__list a")]; // the first is the chapter's title
  const headings = links.map((link) => document.getElementById(link.hash.slice(1)));
  const title = strip.querySelector(".place__section");
  const count = strip.querySelector(".place__count");
  const ticks = [...strip.querySelectorAll(".place__ticks li")];
  const opening = { title: title.textContent, count: count.textContent };
  let jump = null; // where a link led that the page was too short to scroll to
  let shown = 0;

  const line = () => parseFloat(getComputedStyle(root).scrollPaddingTop) + 4;
  const atEnd = () => scrollY > 0 && scrollY + innerHeight >= root.scrollHeight - 2;

  function here() {
    if (jump && Math.abs(jump.y - scrollY) < 2) return jump.section;
    if (atEnd()) return headings.length - 1;
    const limit = line();
    return Math.max(0, headings.findLastIndex((h) => h.getBoundingClientRect().top <= limit));
  }

  const skipped = (link) => root.dataset.path === "short" && "detour" in link.dataset;

  function stop(from, direction) {
    let at = from + direction;
    while (links[at] && skipped(links[at])) at += direction;
    return links[at];
  }

  function point(step, link, otherwise) {
    step.href = link ? link.href : otherwise.href;
    step.title = link ? link.dataset.title : otherwise.title;
  }

  function show() {
    shown = here();
    const link = links[shown];
    title.textContent = shown ? link.dataset.title : opening.title;
    count.textContent = shown
      ? count.dataset.pattern.replace("{here}", shown).replace("{all}", links.length - 1)
      : opening.count;
    ticks.forEach((tick, i) => {
      tick.className = i + 1 < shown ? "passed" : i + 1 === shown ? "here" : "";
    });
    links.forEach((other) => other.removeAttribute("aria-current"));
    link.setAttribute("aria-current", "location");
    point(previous, stop(shown, -1), before);
    point(next, stop(shown, 1), after);
  }

  let waiting = false;
  function later() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      show();
    });
  }

  function landed() {
    const section = links.findIndex((link) => link.hash === location.hash);
    // The browser scrolls in this frame.
    requestAnimationFrame(() => {
      jump = section < 0 ? null : { section, y: scrollY };
      later();
    });
  }

  addEventListener("scroll", later, { passive: true });
  addEventListener("resize", later);
  addEventListener("load", landed);
  addEventListener("hashchange", landed);
  addEventListener("vitlit-path", later);
  show();
})();
