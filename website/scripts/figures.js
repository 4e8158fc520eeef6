// A click on a figure shows it large; arrow keys walk through the page's figures. A drawing can be
// had as PNG, too. Without this script figures are as they are, and the SVG can be downloaded.

const figures = [...document.querySelectorAll(".picture[id]")];
const dialog = document.querySelector("dialog.enlarged");
let shown = 0;

function show(index) {
  shown = (index + figures.length) % figures.length;
  const parts = [...figures[shown].querySelectorAll(".panels, figcaption")];
  const copy = document.createElement("div");
  copy.className = "picture";
  copy.append(...parts.map((part) => part.cloneNode(true)));
  dialog.querySelector(".large").replaceChildren(copy);
  dialog.scrollTop = 0;
  if (!dialog.open) dialog.showModal();
}

async function savePng(figure) {
  const image = new Image();
  image.src = figure.querySelector(".about a[download]").href;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [2 * image.width, 2 * image.height];
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  const save = document.createElement("a");
  save.href = canvas.toDataURL("image/png");
  save.download = `${figure.id}.png`;
  save.click();
}

if (dialog) {
  figures.forEach((figure, index) => {
    for (const button of figure.querySelectorAll(".about button")) button.hidden = false;
    figure.querySelector(".enlarge").addEventListener("click", () => show(index));
    figure.querySelector(".as-png").addEventListener("click", () => savePng(figure));
    figure.querySelector(".panels").addEventListener("click", (event) => {
      if (!event.target.closest("a")) show(index);
    });
  });
  dialog.querySelector(".previous").addEventListener("click", () => show(shown - 1));
  dialog.querySelector(".next").addEventListener("click", () => show(shown + 1));
  dialog.querySelector(".close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => figures[shown].querySelector(".enlarge").focus());
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") show(shown - 1);
    if (event.key === "ArrowRight") show(shown + 1);
  });
}
