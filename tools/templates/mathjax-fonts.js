// Fonts that jupyter-server-mathjax names but does not bring; a page that asks for one would report an error.
const absent = { src: "local('serif')" };
MathJax.Hub.Config({
  "HTML-CSS": {
    availableFonts: [], webFont: "STIX-Web", imageFont: null, linebreaks: { automatic: true },
    styles: { "@font-face": absent },
  },
});
MathJax.Hub.Register.StartupHook("NativeMML Jax Config", () => {
  const styles = MathJax.OutputJax.NativeMML.config.styles;
  for (let number = 1; number <= 5; number += 1) Object.assign(styles[`@font-face /*${number}*/`] ?? {}, absent);
});
MathJax.Ajax.loadComplete("[MathJax]/config/local/fonts.js");
