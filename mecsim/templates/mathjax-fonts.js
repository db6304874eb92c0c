MathJax.Hub.Config({
  "HTML-CSS": { availableFonts: [], webFont: "STIX-Web", imageFont: null, linebreaks: { automatic: true } },
});
MathJax.Ajax.loadComplete("[MathJax]/config/local/fonts.js");
