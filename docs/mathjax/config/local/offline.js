// MathJax without a network: with the fonts that jupyter-server-mathjax brings. It names others, too; a page that asks
// for one of those would report an error.
const absent = { src: "local('serif')" };
MathJax.Hub.Config({
  messageStyle: "none",
  showMathMenu: false,
  "HTML-CSS": {
    availableFonts: [], webFont: "STIX-Web", imageFont: null, linebreaks: { automatic: true },
    styles: { "@font-face": absent },
  },
});
MathJax.Hub.Register.StartupHook("NativeMML Jax Config", () => {
  const styles = MathJax.OutputJax.NativeMML.config.styles;
  for (let number = 1; number <= 5; number += 1) Object.assign(styles[`@font-face /*${number}*/`] ?? {}, absent);
});
MathJax.Ajax.loadComplete("[MathJax]/config/local/offline.js");
