// Words about dead letters.

import type { Redriven } from './api/types'

export const letters = (n: number): string => (n === 1 ? '1 dead letter' : `${n.toLocaleString('en')} dead letters`)

/** What became of all that were redriven, and whether that is good. */
export function outcomeOf({ handled, failed }: Pick<Redriven, 'handled' | 'failed'>): { text: string; tone: 'ok' | 'bad' } {
  if (handled + failed === 0) return { text: 'There was none any more.', tone: 'ok' }
  if (failed === 0) return { text: `${letters(handled)} handled.`, tone: 'ok' }
  const stay = `${letters(failed)} could still not be handled and ${failed === 1 ? 'stays' : 'stay'}.`
  return { text: handled === 0 ? stay : `${letters(handled)} handled. ${stay}`, tone: 'bad' }
}
