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
  }).catch((error) => {
    show(false);
    console.error(error);
  });
}
