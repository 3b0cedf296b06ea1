"""A headless Chromium for tests of the page: what it complains of, and what can be asked of any view.

The scripts here run in the page and answer with a list of what is amiss, so that a failing test names each culprit.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDE = {"width": 1440, "height": 900}
NARROW = {"width": 390, "height": 844}

UNNAMED = """() => [...document.querySelectorAll('button, a[href], input, select, textarea, [role=button], [role=img]')]
  .filter((node) => node.checkVisibility())
  .filter((node) => {
    const by = (node.getAttribute('aria-labelledby') || '').split(/\\s+/).filter(Boolean)
    const labelled = by.map((id) => document.getElementById(id)?.textContent || '').join('')
    const label = [...(node.labels || [])].map((one) => one.textContent).join('')
    const own = node.tagName === 'SELECT' || node.tagName === 'INPUT' ? '' : node.textContent
    const drawn = [...node.querySelectorAll('img[alt]')].map((image) => image.alt).join('')
    return !(node.getAttribute('aria-label') || labelled || label || own || drawn || node.title || '').trim()
  })
  .map((node) => node.outerHTML.slice(0, 160))"""

BARE_TABLES = """() => [...document.querySelectorAll('table')].filter((table) => !table.querySelector('th[scope]'))
  .map((table) => table.outerHTML.slice(0, 160))"""

TOO_WIDE = """() => document.documentElement.scrollWidth > innerWidth
  ? [...document.querySelectorAll('main *, header *')]
      .filter((node) => node.getBoundingClientRect().right > innerWidth + 1)
      .map((node) => node.tagName + '.' + node.className).slice(0, 8)
  : []"""

LOW_CONTRAST = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true })
  const rgba = (text) => {
    canvas.clearRect(0, 0, 1, 1)
    canvas.fillStyle = text
    canvas.fillRect(0, 0, 1, 1)
    return [...canvas.getImageData(0, 0, 1, 1).data]
  }
  const over = (top, under) => [0, 1, 2].map((i) => (top[i] * top[3] + under[i] * (255 - top[3])) / 255).concat(255)
  const behind = (node) => {
    const layers = []
    for (let at = node; at; at = at.parentElement) layers.push(rgba(getComputedStyle(at).backgroundColor))
    return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255, 255])
  }
  const light = (colour) => {
    const [r, g, b] = colour.map((part) => (part /= 255) <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  const low = new Map()
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    const node = text.parentElement
    if (!text.data.trim() || !node.checkVisibility({ opacityProperty: true })) continue
    if (node.closest('.hidden-text, :disabled, .inside')) continue
    const style = getComputedStyle(node)
    const size = parseFloat(style.fontSize)
    const large = size >= 24 || (size >= 18.6 && Number(style.fontWeight) >= 700)
    const back = behind(node)
    const [a, b] = [light(over(rgba(style.color), back)), light(back)]
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
    const seen = `${ratio.toFixed(2)} ${style.color} on ${back.slice(0, 3)}`
    if (ratio < (large ? 3 : 4.5)) low.set(seen, text.data.trim().slice(0, 40))
  }
  return [...low].map(([what, where]) => `${what}: ${where}`)
}"""


def chromium_path() -> str | None:
    """Give the Chromium of this machine, or None."""
    named = os.environ.get("WATCHKEEPER_CHROMIUM", "")
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return named or next(filter(None, map(shutil.which, names)), None)


def launch(playwright: Playwright) -> Browser:
    """Start the Chromium of this machine, which must be there."""
    path = chromium_path()
    assert path is not None
    return playwright.chromium.launch(executable_path=path, headless=True, args=ARGUMENTS)


class View:
    """A browser page bound to one Watchkeeper, which remembers every complaint and every address it asked for."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.complaints: list[str] = []
        self.asked: list[str] = []
        page.set_default_timeout(15_000)
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(f"{page.url}: {error}"))
        page.on("request", lambda request: self.asked.append(request.url))

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{self.page.url}: {message.text}")

    def open(self, path: str) -> Page:
        """Go to a path and wait until the page is live."""
        self.page.goto(f"{self.url}{path}")
        self.page.locator("main h1").first.wait_for()
        return self.page

    def amiss(self, script: str) -> list[str]:
        """Run one of the scripts above."""
        found: list[str] = self.page.evaluate(script)
        return found


Open = Callable[..., View]
