// What the steps of flows are called, as things to do and as what is done now.

const names: Record<string, { task: string; doing?: string }> = {
  start: { task: 'Say that it begins' },
  complete: { task: 'Say how it ended' },
  started: { task: 'Say that it begins' },
  failed: { task: 'Say that it failed' },
  mp4: { task: 'Make the MP4', doing: 'Making the MP4' },
  encode: { task: 'Encode it for every player', doing: 'Encoding it for every player' },
  storyboard: { task: 'Make the storyboard', doing: 'Making previews' },
  thumbnail: { task: 'Make the thumbnail', doing: 'Choosing a picture' },
}

/** A step in words; one that this page does not know by its name. */
export function stepName(name: string): string {
  const [hook, verb, round] = name.split(' ')
  const again = round && round !== '1' ? ', once more' : ''
  if (verb === 'ask') return `Ask the plugins of ${hook}`
  if (verb === 'wait') return `Wait for the plugins of ${hook}${again}`
  if (verb === 'settle') return `Decide ${hook}${again}`
  return names[name]?.task ?? name
}

/** What a video's processing is at; without a step it waits. */
export function makingOf(step = ''): string {
  return names[step]?.doing ?? 'Waiting for its turn'
}
