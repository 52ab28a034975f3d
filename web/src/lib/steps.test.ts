import { expect, it } from 'vitest'
import type { Processing, SimulatedVideo } from './api/types'
import { makingOf, stepName } from './steps'

it.each([
  ['mp4', 'Make the MP4'],
  ['encode', 'Encode it for every player'],
  ['preValidate ask', 'Ask the plugins of preValidate'],
  ['preValidate wait 1', 'Wait for the plugins of preValidate'],
  ['preMetadata settle 3', 'Decide preMetadata, once more'],
  ['of a later version', 'of a later version'],
])('%s is %s', (name, words) => expect(stepName(name)).toBe(words))

it('has words for every step that a video may be at', () => {
  type Step = NonNullable<Processing['step']> & NonNullable<SimulatedVideo['step']>
  const all: Record<Step, string> = {
    mp4: 'Making the MP4', encode: 'Encoding it for every player', storyboard: 'Making previews', thumbnail: 'Choosing a picture',
  }
  for (const [step, words] of Object.entries(all)) expect(makingOf(step)).toBe(words)
  expect(makingOf()).toBe('Waiting for its turn')
})
