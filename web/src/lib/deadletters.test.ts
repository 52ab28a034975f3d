import { describe, expect, test } from 'vitest'
import { letters, outcomeOf } from './deadletters'

describe('letters', () => {
  test.each([
    [1, '1 dead letter'],
    [2, '2 dead letters'],
    [12_345, '12,345 dead letters'],
  ])('%d', (n, want) => expect(letters(n)).toBe(want))
})

describe('outcomeOf', () => {
  test.each([
    [0, 0, 'There was none any more.', 'ok'],
    [1, 0, '1 dead letter handled.', 'ok'],
    [0, 2, '2 dead letters could still not be handled and stay.', 'bad'],
    [3, 1, '3 dead letters handled. 1 dead letter could still not be handled and stays.', 'bad'],
  ])('%d handled, %d failed', (handled, failed, text, tone) => expect(outcomeOf({ handled, failed })).toEqual({ text, tone }))
})
