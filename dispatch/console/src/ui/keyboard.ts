// The keyboard: one listener for the page; fields and dialogs keep their own keys.
import { selectRoute } from '../data/actions'
import { markFrom, shiftSpeed, step, STEP_S, togglePlay } from '../data/playback'
import { goTo } from '../panels/playbackBar'
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

const itemOf = (element: Element | null): Element | null => element?.closest('[data-item]') ?? null

/** In a list of advice or alerts to the next piece, elsewhere to the next line. */
function move(step: 1 | -1): void {
  const item = itemOf(document.activeElement)
  if (!item) return moveLine(step)
  const next = step > 0 ? item.nextElementSibling : item.previousElementSibling
  next?.querySelector<HTMLElement>('.advice__what, .alert__what')?.focus()
}

/** Presses the button of the piece in focus that has this key. */
function press(key: string): void {
  itemOf(document.activeElement)?.querySelector<HTMLButtonElement>(`[data-key="${key}"]`)?.click()
}

function focusOn(selectors: string[], tab: 'lines' | 'alerts' | 'advice'): void {
  setState(tab === 'lines' ? { tab } : { tab, desk: tab })
  // On a narrow screen the panel is shown by the state just set, so wait for it.
  requestAnimationFrame(() => {
    for (const selector of selectors) {
      const found = document.querySelector<HTMLElement>(selector)
      if (found) return found.focus()
    }
  })
}

function back(): void {
  const state = getState()
  if (state.selectedVehicle !== null) setState({ selectedVehicle: null })
  else if (state.search !== '') setState({ search: '' })
  else if (state.selectedRoute !== null) selectRoute(null)
  if (document.activeElement instanceof HTMLElement) document.activeElement.blur()
}

function past(): void {
  const { past: shown, session } = getState()
  if (shown) togglePlay()
  else setState({ dialog: session ? 'playback' : 'login' })
}

/** To the alert before or after the instant on show; the page's own keys where nothing of the past is. */
function jump(way: 1 | -1): void {
  const { past: shown } = getState()
  const mark = shown && markFrom(shown, way)
  if (mark) goTo(mark)
}

const commands: Record<string, () => void> = {
  j: () => move(1),
  k: () => move(-1),
  '/': () => focusOn(['#search'], 'lines'),
  a: () => focusOn(['#alerts .alert__what'], 'alerts'),
  v: () => getState().advice && focusOn(['#advice .advice--open .advice__what', '#advice .advice__what'], 'advice'),
  y: () => press('y'),
  n: () => press('n'),
  '+': () => press('+'),
  '=': () => press('+'), // the same key without Shift
  '-': () => press('-'),
  '1': () => press('1'),
  '2': () => press('2'),
  '3': () => press('3'),
  '4': () => press('4'),
  s: () => setState({ lineView: getState().lineView === 'ladder' ? 'stringline' : 'ladder' }),
  ',': () => step(-STEP_S),
  '.': () => step(STEP_S),
  '<': () => jump(-1),
  '>': () => jump(1),
  o: () => selectRoute(null),
  p: past,
  '[': () => shiftSpeed(-1),
  ']': () => shiftSpeed(1),
  t: toggleTheme,
  l: toggleLanguage,
  '?': () => setState({ dialog: 'help' }),
  Escape: back,
}

// The same places on a Ukrainian keyboard, where these keys give Cyrillic letters.
const BY_CODE: Record<string, string> = {
  KeyJ: 'j', KeyK: 'k', KeyA: 'a', KeyO: 'o', KeyT: 't', KeyL: 'l', KeyV: 'v', KeyY: 'y', KeyN: 'n', KeyP: 'p', KeyS: 's', BracketLeft: '[', BracketRight: ']',
  Comma: ',', Period: '.',
}

const SHIFTED: Record<string, string> = { Comma: '<', Period: '>' }

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
    const inList = target.closest('#lines') !== null || itemOf(target) !== null
    const key = inList && event.key === 'ArrowDown' ? 'j' : inList && event.key === 'ArrowUp' ? 'k' : (event.key === '<' || event.key === '>' ? event.key : event.shiftKey ? SHIFTED[event.code] : undefined) ?? BY_CODE[event.code] ?? event.key
    // Arrows move through the lines from anywhere but the map, which they pan.
    const arrow = target === document.body ? { ArrowDown: 'j', ArrowUp: 'k' }[event.key] : undefined
    const command = commands[arrow ?? key]
    if (!command) return
    event.preventDefault()
    command()
  })
}
