// Where on the page one is: in the address, so that back, reload and a bookmark work.
import { getState, setState, type View } from '../data/store'

export function viewOf(hash: string): View {
  const [word = '', id = ''] = hash.replace(/^#\/?/, '').split('/').map(decodeURIComponent)
  if (word === 'buy') return id ? { at: 'product', id } : { at: 'shop' }
  if (word === 't' && id) return { at: 'ticket', id }
  if (word === 'receipt' && id) return { at: 'receipt', id }
  return { at: 'tickets' }
}

function follow(): void {
  let view: View
  try {
    view = viewOf(location.hash)
  } catch {
    view = { at: 'tickets' } // an address that is no address
  }
  const before = getState().view
  if (JSON.stringify(before) === JSON.stringify(view)) return
  setState({ view })
  window.scrollTo(0, 0)
  // Who listens instead of looking is told where the page has gone.
  requestAnimationFrame(() => document.querySelector<HTMLElement>('[data-heading]')?.focus({ preventScroll: true }))
}

export function startRoute(): void {
  follow()
  window.addEventListener('hashchange', follow)
}
