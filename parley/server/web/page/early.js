/**
 * What has to be known before the first paint: the colours one has chosen, and whether one goes
 * straight in. A script of its own, not a module, since modules run after it.
 */
{
  let settings = {};
  let inside = false;
  try {
    settings = JSON.parse(localStorage["parley.settings"] ?? "{}") ?? {};
    inside = (sessionStorage["parley.inside"] ?? localStorage["parley.inside"]) === "true";
  } catch (problem) {
    // Storage that is forbidden, or text that is not ours: as on a first visit.
    if (!(problem instanceof DOMException || problem instanceof SyntaxError)) throw problem;
  }
  const root = document.documentElement;
  if (settings.theme === "dark" || settings.theme === "light") root.dataset.theme = settings.theme;
  if (inside) root.dataset.inside = "";
}
