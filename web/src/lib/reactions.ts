// The reactions that can be sent, and how each that arrives is shown.

export interface ReactionKind {
  /** What is sent, too: other clients can show it without knowing our list. */
  emoji: string
  label: string
}

export const reactions: ReactionKind[] = [
  { emoji: '❤️', label: 'Love' },
  { emoji: '👏', label: 'Applause' },
  { emoji: '😂', label: 'Laugh' },
  { emoji: '😮', label: 'Wow' },
  { emoji: '🔥', label: 'Fire' },
  { emoji: '🎉', label: 'Celebrate' },
]

/** The picture of a reaction; other clients may send words, which show as a sparkle. */
export function emojiOf(type: string): string {
  return /^\p{Extended_Pictographic}/u.test(type) && [...type].length <= 8 ? type : '✨'
}
