import { expect, it } from 'vitest'
import { fieldsOf, inputOf, problemsOf } from './retention'

const nothing = { keepDays: 0, keepBytes: 0, recordings: 3, bytes: 12_300_000_000 }

it('is off by default, and suggests no limit that deletes something by size', () => {
  const fields = fieldsOf(nothing)
  expect(fields).toEqual({ byAge: false, days: 90, bySize: false, gigabytes: 13 })
  expect(inputOf(fields)).toEqual({ keepDays: 0, keepBytes: 0 })
})

it('shows and sends what is set', () => {
  const fields = fieldsOf({ ...nothing, keepDays: 30, keepBytes: 2_500_000_000 })
  expect(fields).toEqual({ byAge: true, days: 30, bySize: true, gigabytes: 2.5 })
  expect(inputOf(fields)).toEqual({ keepDays: 30, keepBytes: 2_500_000_000 })
  expect(inputOf({ ...fields, byAge: false })).toEqual({ keepDays: 0, keepBytes: 2_500_000_000 })
})

it('never takes an empty or senseless field for no limit', () => {
  const fields = { byAge: true, days: 30, bySize: true, gigabytes: 5 }
  expect(problemsOf(fields)).toEqual({})
  for (const days of [null, 0, -1, 1.5, 40_000, NaN]) expect(problemsOf({ ...fields, days }).days).toBeDefined()
  for (const gigabytes of [null, 0, -1, 2_000_000, NaN]) expect(problemsOf({ ...fields, gigabytes }).gigabytes).toBeDefined()
  expect(problemsOf({ byAge: false, days: null, bySize: false, gigabytes: null })).toEqual({})
})
