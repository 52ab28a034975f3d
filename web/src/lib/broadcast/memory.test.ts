import { expect, it } from 'vitest'
import { readMemory } from './memory'

it('reads what it wrote, and nothing else', () => {
  const memory = { streamId: 'st-1', startedAt: 7 }
  expect(readMemory(JSON.stringify(memory))).toEqual(memory)
  for (const text of [null, '', 'x', 'null', '{}', '{"streamId":1,"resource":"","startedAt":1}']) expect(readMemory(text)).toBeNull()
})
