// The page's state in one place: plain values, replaced and never changed, and a hook that redraws what used them.
import { useEffect, useReducer, useRef } from 'preact/hooks'
import type { Attempt, Instance, Product, Ticket } from './types'

export type Language = 'uk' | 'en'
export type Theme = 'light' | 'dark'

export type View =
  | { at: 'tickets' }
  | { at: 'shop' }
  | { at: 'product'; id: string }
  | { at: 'ticket'; id: string }
  | { at: 'receipt'; id: string }

/** How the purchase under way stands; `unsure` is after many tries without an answer. */
export type Progress = 'sending' | 'pending' | 'unsure'

export type Outcome = { kind: 'declined'; reason: string } | { kind: 'refused'; status: number; reason: string } | null

export interface State {
  /** False until the tickets on this device have been read. */
  ready: boolean
  /** Why this browser cannot hold tickets, where it cannot. */
  unable: 'insecure' | 'storage' | null
  instance: Instance | null
  products: Product[] | null
  productsFailed: boolean
  tickets: Ticket[]
  attempt: Attempt | null
  progress: Progress
  outcome: Outcome
  online: boolean
  view: View
  language: Language
  theme: Theme
  installable: boolean
}

let state: State = {
  ready: false,
  unable: null,
  instance: null,
  products: null,
  productsFailed: false,
  tickets: [],
  attempt: null,
  progress: 'sending',
  outcome: null,
  online: navigator.onLine,
  view: { at: 'tickets' },
  language: 'en',
  theme: 'light',
  installable: false,
}
const listeners = new Set<() => void>()

export const getState = (): State => state

export function setState(patch: Partial<State>): void {
  state = { ...state, ...patch }
  for (const listener of listeners) listener()
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

/** Redraws the component when the selected value is another one (compared by identity). */
export function useStore<T>(select: (state: State) => T): T {
  const [, redraw] = useReducer((count: number) => count + 1, 0)
  const selected = select(state)
  const latest = useRef({ select, selected })
  latest.current = { select, selected }
  useEffect(() => {
    const check = () => {
      const { select: pick, selected: before } = latest.current
      if (!Object.is(pick(state), before)) redraw(null)
    }
    check() // something may have changed between drawing and this effect
    return subscribe(check)
  }, [])
  return selected
}
