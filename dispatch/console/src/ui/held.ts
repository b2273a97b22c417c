// Lists that never move under the dispatcher's hand: while the pointer or the focus is in one, nothing changes its place.
import { useRef, useState } from 'preact/hooks'

interface Held<T> {
  items: { item: T; gone: boolean }[]
  handlers: Record<'onPointerEnter' | 'onPointerLeave' | 'onFocusIn' | 'onFocusOut', () => void>
}

/** `sorted` as it should stand; while held, what was there keeps its place (also what is gone), and what is new comes last. */
export function useHeld<T extends { id: string }>(sorted: T[]): Held<T> {
  const [hold, setHold] = useState({ pointer: false, focus: false })
  const shown = useRef<Map<string, T>>(new Map())
  const now = new Map(sorted.map((item) => [item.id, item]))
  let items: Held<T>['items']
  if (hold.pointer || hold.focus) {
    const order = [...shown.current.keys(), ...sorted.map((item) => item.id).filter((id) => !shown.current.has(id))]
    items = order.flatMap((id) => {
      const item = now.get(id) ?? shown.current.get(id)
      return item ? [{ item, gone: !now.has(id) }] : []
    })
  } else {
    items = sorted.map((item) => ({ item, gone: false }))
  }
  shown.current = new Map(items.map(({ item }) => [item.id, item]))
  return {
    items,
    handlers: {
      onPointerEnter: () => setHold((before) => ({ ...before, pointer: true })),
      onPointerLeave: () => setHold((before) => ({ ...before, pointer: false })),
      onFocusIn: () => setHold((before) => ({ ...before, focus: true })),
      onFocusOut: () => setHold((before) => ({ ...before, focus: false })),
    },
  }
}
