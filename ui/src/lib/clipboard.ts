// Text into the clipboard; where it is closed (pages served without TLS from another host), the text is selected instead.

/** Copy; tells whether it is in the clipboard. `shown` holds the text on the page. */
export async function copy(text: string, shown: HTMLElement): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    getSelection()?.selectAllChildren(shown)
    return false
  }
}
