// The reactions that can be sent, and how each that arrives is shown.

export interface ReactionKind {
  type: string
  emoji: string
  label: string
}

export const reactions: ReactionKind[] = [
  { type: 'heart', emoji: '❤️', label: 'Love' },
  { type: 'clap', emoji: '👏', label: 'Applause' },
  { type: 'laugh', emoji: '😂', label: 'Laugh' },
  { type: 'wow', emoji: '😮', label: 'Wow' },
  { type: 'fire', emoji: '🔥', label: 'Fire' },
  { type: 'party', emoji: '🎉', label: 'Celebrate' },
]

/** The picture of a reaction; other clients may send an emoji itself. */
export function emojiOf(type: string): string {
  const known = reactions.find((kind) => kind.type === type)
  if (known) return known.emoji
  return /^\p{Extended_Pictographic}/u.test(type) && [...type].length <= 8 ? type : '✨'
}
