// Keys beyond those of the theme, the help that names them all, and menus that close by themselves.
(() => {
  const help = document.querySelector("#keys");
  const sections = { "[": "previous", "]": "next" };
  const typing = () => {
    const { activeElement: at } = document;
    return at?.matches("input:not([type=radio]), textarea, select, [contenteditable]");
  };
  addEventListener("keydown", (event) => {
    // AltGraph writes brackets on many keyboards; Ctrl and Meta with them belong to the browser.
    const plain = !event.metaKey && (!event.ctrlKey || event.getModifierState("AltGraph"));
    if (event.defaultPrevented || !plain || typing()) return;
    if (event.key === "?") help.open ? help.close() : help.showModal();
    else if (!help.open && event.key in sections)
      document.querySelector(`.place__step[data-step=${sections[event.key]}]`)?.click();
  });
  for (const button of document.querySelectorAll("[data-keys]")) {
    button.addEventListener("click", () => help.showModal());
  }
  help.addEventListener("click", ({ target }) => {
    if (target === help) help.close(); // beside the box
  });

  // The theme changes its colors by Enter only.
  const colors = document.querySelector("[data-md-component=palette]");
  colors?.addEventListener("keydown", (event) => {
    if (event.key !== " ") return;
    event.preventDefault();
    const { mdColorScheme: shown } = document.body.dataset;
    const options = [...colors.querySelectorAll("input")];
    const other = options.find((option) => option.dataset.mdColorScheme !== shown);
    other.click();
    other.focus();
  });

  for (const menu of document.querySelectorAll("details[data-menu]")) {
    const close = () => (menu.open = false);
    addEventListener("click", ({ target }) => {
      if (!menu.contains(target) || target.closest("a")) close();
    });
    menu.addEventListener("keydown", ({ key }) => {
      if (key !== "Escape") return;
      close();
      menu.querySelector("summary").focus();
    });
  }
})();
