// The search for videos: its address and what is said of its results.

/** The address of the home page with this search; without one when nothing is asked. */
export function searchPath(asked: string): string {
  const q = asked.trim()
  return q ? '/?' + new URLSearchParams({ q }).toString() : '/'
}

/** Longest question, in characters, as the API has it. */
export const longestQuestion = 200

/** What is read out and stands above the results. */
export function resultsText(asked: string, count: number, more: boolean): string {
  if (count === 0) return `No video matches “${asked}”.`
  const videos = count === 1 && !more ? '1 video matches' : more ? `The newest ${count} videos that match` : `${count} videos match`
  return `${videos} “${asked}”.`
}

/** Whether a key press anywhere on the page means the search box: "/" outside of fields. */
export function asksForSearch(event: Pick<KeyboardEvent, 'key' | 'ctrlKey' | 'metaKey' | 'altKey' | 'target'>): boolean {
  if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey) return false
  const at = event.target as { closest?: (selector: string) => unknown } | null
  return !at?.closest?.('input, textarea, select, dialog, [contenteditable], media-controller')
}
