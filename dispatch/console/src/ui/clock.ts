// One timer for all ages on the page, and the city's clock as the server tells it.
import { useEffect, useReducer } from 'preact/hooks'
import { getState } from '../data/store'

const redraws = new Set<() => void>()
setInterval(() => {
  if (!document.hidden) for (const redraw of redraws) redraw()
}, 1000)

/** Redraws once a second; the value is performance.now(). */
export function useSecond(): number {
  const [, redraw] = useReducer((count: number) => count + 1, 0)
  useEffect(() => {
    const tick = () => redraw(null)
    redraws.add(tick)
    return () => void redraws.delete(tick)
  }, [])
  return performance.now()
}

/** The server's time now in Unix seconds, by its last word and the time since; this computer's clock may be wrong. */
export function serverNow(): number {
  const { serverClock } = getState()
  return serverClock ? serverClock.asOf + (performance.now() - serverClock.seenAt) / 1000 : Date.now() / 1000
}

/** The instant that the page shows: now, or the one of the past that is played. */
export const shownNow = (): number => getState().past?.at ?? serverNow()
