// The stringline of the line on show: loaded anew every so often, in the past as far around its instant as it is drawn.
import { useEffect, useState } from 'preact/hooks'
import { serverNow } from '../ui/clock'
import { get, RequestError } from './api'
import { noteRefusal } from './session'
import { getState, useStore } from './store'
import type { HeadwayState, LineStop } from './types'

export const BACK_S = 3600
export const AHEAD_S = 900
const RELOAD_MS = 10_000
const MARGIN_S = 1800 // in the past as much more is loaded, so that not every frame asks

export type DrivenPoint = [at: number, placeM: number, state: HeadwayState | null]

export interface StringlineDirection {
  direction_id: number
  headsign: string
  length_m: number
  stops: LineStop[]
  planned: { trip_id: string; points: [number, number][] }[]
  driven: { operator_id: string; vehicle_id: string; trip_id: string; pieces: DrivenPoint[][] }[]
}

export interface Stringline {
  route_id: string
  from: number
  to: number
  directions: StringlineDirection[]
}

/** Null while it is on its way; a string is why there is none. */
export function useStringline(routeId: string): Stringline | string | null {
  const [answer, setAnswer] = useState<Stringline | string | null>(null)
  const past = useStore((state) => state.past !== null)
  useEffect(() => {
    let wanted = true
    let busy = false
    let askedAt = -Infinity
    let loaded: Stringline | null = null
    const look = async () => {
      if (busy || document.hidden) return
      const at = getState().past?.at ?? null
      const covered = loaded !== null && at !== null && at - BACK_S >= loaded.from && at + AHEAD_S <= loaded.to
      if (covered || (at === null && performance.now() - askedAt < RELOAD_MS)) return
      busy = true
      askedAt = performance.now()
      const [from, to] = at === null ? [serverNow() - BACK_S, serverNow() + AHEAD_S] : [at - BACK_S - 60, at + AHEAD_S + MARGIN_S]
      try {
        loaded = await get<Stringline>(`routes/${encodeURIComponent(routeId)}/stringline?from=${from.toFixed(0)}&to=${to.toFixed(0)}`)
        if (wanted) setAnswer(loaded)
      } catch (error) {
        noteRefusal(error)
        if (wanted && loaded === null) setAnswer(error instanceof RequestError ? error.message : String(error))
      } finally {
        busy = false
      }
    }
    setAnswer(null)
    void look()
    const timer = setInterval(() => void look(), 1000)
    return () => {
      wanted = false
      clearInterval(timer)
    }
  }, [routeId, past])
  return answer
}
