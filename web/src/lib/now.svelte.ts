// A clock for "5 minutes ago", ticking twice a minute.

class Now {
  ms = $state(Date.now())

  start(): void {
    setInterval(() => (this.ms = Date.now()), 30_000)
  }
}

export const now = new Now()
