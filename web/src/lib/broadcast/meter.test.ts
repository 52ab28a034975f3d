import { expect, it } from 'vitest'
import { level } from './meter'

it('measures loudness on a scale of decibels', () => {
  expect(level(new Float32Array(64))).toBe(0)
  expect(level(new Float32Array(64).fill(1))).toBe(1)
  expect(level(new Float32Array(64).fill(0.001))).toBeCloseTo(0, 5)
  expect(level(new Float32Array(64).fill(0.0316))).toBeCloseTo(0.5, 2)
  expect(level([])).toBe(0)
})
