// Who is signed in.

import { api, onSignedOut } from './api/client'
import type { Role, Session, User } from './api/types'
import { notices } from './notices.svelte'
import { realtime } from './realtime/realtime.svelte'

class SessionStore {
  user = $state<User | null>(null)
  signUp = $state<Session['signUp']>({ open: true, domains: [] })
  setup = $state(false)
  /** False until the server has said who is signed in. */
  known = $state(false)

  async load(): Promise<void> {
    try {
      const session = await api.session()
      this.user = session.user
      this.signUp = session.signUp
      this.setup = session.setup
    } finally {
      this.known = true
    }
  }

  /** Notices when a session ends while the app is open. */
  start(): void {
    onSignedOut(() => this.#ended())
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden) void this.#check()
    })
    let stood = false
    realtime.onSnapshot(() => {
      if (stood) void this.#check()
      stood = true
    })
  }

  /** Asks whether the session still stands: a page that asks for nothing does not learn that it has ended. */
  async #check(): Promise<void> {
    const user = this.user
    if (!user) return
    const session = await api.session().catch(() => null)
    if (session && !session.user && this.user === user) this.#ended()
  }

  #ended(): void {
    if (!this.user) return
    this.user = null
    realtime.restart()
    notices.show('You were signed out. Sign in to go on.', 'info', { label: 'Sign in', href: '/signin' })
  }

  has(role: Role): boolean {
    return this.user?.roles.includes(role) ?? false
  }

  /** Takes over an answer that signed somebody in. */
  async signedIn(user: User): Promise<void> {
    this.user = user
    await this.load().catch(() => {})
    realtime.restart()
  }

  async signOut(): Promise<void> {
    await api.signOut()
    this.user = null
    realtime.restart()
  }
}

export const session = new SessionStore()
