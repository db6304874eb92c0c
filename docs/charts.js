// Shows each interactive figure in place of the stored one, which readers keep whose browser runs no scripts.
for (const box of document.querySelectorAll(".interactive")) {
  const stored = box.parentElement.querySelector(":scope > .stored");
  const show = (interactive) => {
    box.hidden = !interactive;
    stored?.toggleAttribute("hidden", interactive);
  };
  show(true);
  vegaEmbed(box.querySelector(".plot"), JSON.parse(box.querySelector("script").textContent), {
    actions: false,
    renderer: "svg",
    tooltip: { theme: "light" },
  }).then(({ view }) => {
    // A finger does not hover: what is told of a mark stays after a tap.
    view.addEventListener("click", (event, item) => view.tooltip()(null, event, item, item?.tooltip));
  }).catch((error) => {
    show(false);
    console.error(error);
  });
}
