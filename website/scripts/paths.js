// The whole book or its short path: what the reader has chosen, on this page and the next.
(() => {
  const choices = [...document.querySelectorAll("input[data-path]")];
  const chosen = () => document.documentElement.dataset.path ?? "";
  const mark = () => {
    for (const choice of choices) choice.checked = choice.value === chosen();
  };
  for (const choice of choices) {
    choice.addEventListener("change", () => {
      document.documentElement.dataset.path = choice.value;
      try {
        localStorage.setItem("vitlit-path", choice.value);
      } catch {
        // storage may be forbidden: then the choice holds on this page
      }
      mark();
      dispatchEvent(new Event("vitlit-path"));
    });
  }
  addEventListener("pageshow", mark); // a browser restores what was checked when the page was left
  mark();
})();
