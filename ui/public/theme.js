// Before the first paint, so that nobody who chose a theme sees the other one flash by.
try {
  const chosen = localStorage.getItem('theme')
  if (chosen === 'dark' || chosen === 'light') document.documentElement.dataset.theme = chosen
} catch {
  // Storage may be forbidden; the system's theme is right then.
}
