// Lists that come in pages, the newest rows first, without a browser.

export interface Row {
  id: string
}

/**
 * The newest page over what is shown: what is new comes first, what is known is as it is
 * now, older pages stay.
 * @param whole the page is all that there is
 */
export function merged<T extends Row>(shown: T[], newest: T[], whole: boolean): T[] {
  if (whole) return newest
  const last = newest.at(-1)
  const from = last ? shown.findIndex((row) => row.id === last.id) : -1
  // What stood among the newest and does so no more is gone, or in another state.
  return from < 0 ? newest : appended(newest, shown.slice(from + 1))
}

/** A further page behind what is shown, each row once: rows move on while somebody reads. */
export function appended<T extends Row>(shown: T[], more: T[]): T[] {
  const known = new Set(shown.map((row) => row.id))
  return [...shown, ...more.filter((row) => !known.has(row.id))]
}

/** The rows as they are now that were at work before and are so no more. */
export function ended<T extends Row>(before: T[], now: T[], atWork: (row: T) => boolean): T[] {
  const worked = new Set(before.filter(atWork).map((row) => row.id))
  return now.filter((row) => worked.has(row.id) && !atWork(row))
}
