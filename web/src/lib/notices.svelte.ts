// Short notices: shown for a while, and read out by screen readers.

export interface Notice {
  id: number
  text: string
  tone: 'ok' | 'bad' | 'info'
  action?: { label: string; href: string }
}

class Notices {
  list = $state<Notice[]>([])
  /** What a screen reader reads next. */
  spoken = $state('')
  #next = 1

  show(text: string, tone: Notice['tone'] = 'info', action?: Notice['action']): void {
    const id = this.#next++
    this.list = [...this.list.slice(-2), { id, text, tone, action }]
    this.say(text)
    setTimeout(() => this.drop(id), action ? 9000 : 5000)
  }

  /** Read out only. */
  say(text: string): void {
    this.spoken = ''
    setTimeout(() => (this.spoken = text), 60)
  }

  drop(id: number): void {
    this.list = this.list.filter((notice) => notice.id !== id)
  }
}

export const notices = new Notices()
