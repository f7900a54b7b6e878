// Runs before anything is painted, so that a chosen theme never flashes in after the other.
(() => {
  try {
    const chosen = localStorage.getItem("theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // Without storage the system's theme stays.
  }
})();
