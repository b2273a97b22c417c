// The keyboard: one listener for the page; fields and dialogs keep their own keys.
import { selectRoute } from '../data/actions'
import { getState, setState } from '../data/store'
import { toggleLanguage, toggleTheme } from './preferences'

const lineButtons = (): HTMLButtonElement[] => [...document.querySelectorAll<HTMLButtonElement>('#lines .line')]

/** Moves the focus through the lines, from the focused one, else from the selected one. */
function moveLine(step: 1 | -1): void {
  setState({ tab: window.innerWidth < 900 ? 'lines' : getState().tab })
  const buttons = lineButtons()
  const focused = buttons.findIndex((button) => button === document.activeElement)
  const from = focused >= 0 ? focused : buttons.findIndex((button) => button.getAttribute('aria-current') === 'true')
  const to = from < 0 ? 0 : Math.min(buttons.length - 1, Math.max(0, from + step))
  buttons[to]?.focus()
}

function focusOn(selector: string, tab: 'lines' | 'alerts'): void {
  setState({ tab })
  // On a narrow screen the panel is shown by the state just set, so wait for it.
  requestAnimationFrame(() => document.querySelector<HTMLElement>(selector)?.focus())
}

function back(): void {
  const state = getState()
  if (state.selectedVehicle !== null) setState({ selectedVehicle: null })
  else if (state.search !== '') setState({ search: '' })
  else if (state.selectedRoute !== null) selectRoute(null)
  if (document.activeElement instanceof HTMLElement) document.activeElement.blur()
}

const commands: Record<string, () => void> = {
  j: () => moveLine(1),
  k: () => moveLine(-1),
  '/': () => focusOn('#search', 'lines'),
  a: () => focusOn('#alerts .alert__what', 'alerts'),
  o: () => selectRoute(null),
  t: toggleTheme,
  l: toggleLanguage,
  '?': () => setState({ dialog: 'help' }),
  Escape: back,
}

// The same places on a Ukrainian keyboard, where these keys give Cyrillic letters.
const BY_CODE: Record<string, string> = { KeyJ: 'j', KeyK: 'k', KeyA: 'a', KeyO: 'o', KeyT: 't', KeyL: 'l' }

export function startKeyboard(): void {
  document.addEventListener('keydown', (event) => {
    // An open dialog keeps the keys; one that has just closed does not, though the state may learn of it a little later.
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return
    const target = event.target as HTMLElement
    const typing = target.matches('input, select, textarea')
    if (typing && event.key === 'ArrowDown' && target.id === 'search') {
      event.preventDefault()
      return moveLine(1)
    }
    if (typing && event.key !== 'Escape') return
    const inLines = target.closest('#lines') !== null
    const key = inLines && event.key === 'ArrowDown' ? 'j' : inLines && event.key === 'ArrowUp' ? 'k' : BY_CODE[event.code] ?? event.key
    // Arrows move through the lines from anywhere but the map, which they pan.
    const arrow = target === document.body ? { ArrowDown: 'j', ArrowUp: 'k' }[event.key] : undefined
    const command = commands[arrow ?? key]
    if (!command) return
    event.preventDefault()
    command()
  })
}
