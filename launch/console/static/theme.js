/* Light or dark, chosen before the first paint: a plain script, so that it runs before the page is drawn. */
(() => {
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const kept = () => {
    try {
      return localStorage.getItem("handrail-theme");
    } catch {
      return null; // a browser may forbid storage; the system's choice does
    }
  };
  const apply = () => {
    document.documentElement.dataset.theme = kept() ?? (system.matches ? "dark" : "light");
    document.dispatchEvent(new Event("themechange"));
  };
  system.addEventListener("change", apply);
  document.addEventListener("themeswitch", () => {
    try {
      localStorage.setItem("handrail-theme", document.documentElement.dataset.theme === "dark" ? "light" : "dark");
    } catch {
      /* as above */
    }
    apply();
  });
  apply();
})();
