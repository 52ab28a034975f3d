// Which theme the person chose. public/theme.js applies it.

export type ThemeChoice = 'system' | 'dark' | 'light'

const key = 'theme'

function stored(): ThemeChoice {
  try {
    const value = localStorage.getItem(key)
    return value === 'dark' || value === 'light' ? value : 'system'
  } catch {
    return 'system'
  }
}

class Theme {
  choice = $state<ThemeChoice>(stored())

  set(choice: ThemeChoice): void {
    this.choice = choice
    try {
      if (choice === 'system') localStorage.removeItem(key)
      else localStorage.setItem(key, choice)
    } catch {
      // Without storage the choice cannot be kept; the system decides.
    }
    dispatchEvent(new Event('themechoice'))
  }

  /** Goes to the next choice: system, light, dark. */
  next(): void {
    const order: ThemeChoice[] = ['system', 'light', 'dark']
    this.set(order[(order.indexOf(this.choice) + 1) % order.length] ?? 'system')
  }
}

export const theme = new Theme()
