// Long lines of code: wrapped on request, in all blocks, and remembered.
(() => {
  const root = document.documentElement;
  const { wrap, unwrap } = document.currentScript.dataset;
  const scrolls = (code) => code.scrollWidth > code.clientWidth + 1;

  function press(button) {
    const top = button.getBoundingClientRect().top;
    const wrapped = (root.dataset.wrap = root.dataset.wrap ? "" : "on");
    try {
      localStorage.setItem("vitlit-wrap", wrapped);
    } catch {
      // storage may be forbidden: then the choice holds on this page
    }
    dress();
    scrollBy(0, button.getBoundingClientRect().top - top); // the block stays where it was pressed
  }

  function dress() {
    for (const bar of document.querySelectorAll(".md-code__nav")) {
      bar.role = "none"; // a few buttons are no place to navigate to
      const code = bar.parentElement.querySelector("code");
      let button = bar.querySelector("[data-md-type=wrap]");
      if (!button) {
        if (!scrolls(code) && !root.dataset.wrap) continue;
        button = document.createElement("button");
        button.className = "md-code__button";
        button.dataset.mdType = "wrap";
        button.addEventListener("click", () => press(button));
        bar.append(button);
      }
      button.title = root.dataset.wrap ? unwrap : wrap;
      button.ariaPressed = String(Boolean(root.dataset.wrap));
      button.hidden = !root.dataset.wrap && !scrolls(code);
    }
    for (const code of document.querySelectorAll("pre > code")) follow(code);
  }

  // Browsers that tie no animation to scrolling are told where a line goes on.
  const follow = CSS.supports("animation-timeline: scroll()")
    ? () => {}
    : (code) => {
        code.toggleAttribute("data-before", code.scrollLeft > 1);
        const rest = code.scrollWidth - code.clientWidth - code.scrollLeft;
        code.toggleAttribute("data-beyond", rest > 1);
      };
  document.addEventListener(
    "scroll",
    ({ target }) => target.matches?.("pre > code") && follow(target),
    { capture: true, passive: true },
  );

  let waiting = 0;
  const later = () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(dress);
  };
  const article = document.querySelector("article");
  new MutationObserver(later).observe(article, { childList: true, subtree: true });
  addEventListener("resize", later);
  article.addEventListener("toggle", later, { capture: true }); // folded code has no width
  later();
})();
