// How many dead letters there are, for all that show it.

import { api } from './api/client'

class DeadLetters {
  /** 0 while it is not known. */
  count = $state(0)

  /** Asks the server. A failure says nothing: it is asked again soon. */
  async look(): Promise<void> {
    const told = await api.countDeadLetters().catch(() => null)
    if (told) this.count = told.count
  }
}

export const deadLetters = new DeadLetters()
