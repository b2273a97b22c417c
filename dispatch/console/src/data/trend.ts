// How a line's excess wait and regularity have gone: what the page has heard, and what the server measured before.
import { get } from './api'
import type { ControlMessage, LineControl } from './deskTypes'
import { advance, getState, setState } from './store'

export interface Sample {
  at: number
  ewt_s: number | null
  c_vh: number | null
}

const STEP_S = 15 // a sample so often is enough for a small chart
const KEPT = 240 // samples of a line: an hour
const LINES_MAX = 500

const heard = new Map<string, Sample[]>()

/** Notes what the server says of each line; the oldest samples go, so the page stays as small as it is. */
export function applyControl(message: ControlMessage): void {
  for (const line of message.lines) {
    if (line.ewt_s === null && line.c_vh === null) continue
    let samples = heard.get(line.route_id)
    if (!samples) {
      if (heard.size >= LINES_MAX) continue
      heard.set(line.route_id, (samples = []))
    }
    const last = samples.at(-1)
    if (last && message.as_of - last.at < STEP_S) continue
    samples.push({ at: message.as_of, ewt_s: line.ewt_s, c_vh: line.c_vh })
    if (samples.length > KEPT) samples.shift()
  }
  setState({ control: message, ...advance('control', getState().control?.as_of, message.as_of) })
}

export const samplesOf = (routeId: string): Sample[] => heard.get(routeId) ?? []

interface Measured {
  pairs: number
  mean_scheduled_s: number | null
  c_vh: number | null
  ewt_s: number | null
}

/** Directions pooled by the time that their headways fill, as excess wait is defined; null without any headway. */
export function pooled(rows: (Measured | null)[], at: number): Sample | null {
  let weight = 0
  let ewt = 0
  let cvh = 0
  for (const row of rows) {
    if (!row || !row.pairs || row.ewt_s === null || row.mean_scheduled_s === null) continue
    const share = row.pairs * row.mean_scheduled_s
    weight += share
    ewt += row.ewt_s * share
    cvh += (row.c_vh ?? 0) ** 2 * share
  }
  return weight > 0 ? { at, ewt_s: ewt / weight, c_vh: Math.sqrt(cvh / weight) } : null
}

const WINDOW_S = 600 // as the server's own figure
const WINDOWS = 9
const BACK_S = 300

const asked = new Map<string, Promise<Sample[]>>()

/** What was measured before this page was opened: the excess wait of ten minutes each, five minutes apart. */
export function loadEarlier(routeId: string, nowS: number): Promise<Sample[]> {
  const known = asked.get(routeId)
  if (known) return known
  if (asked.size >= LINES_MAX) asked.clear()
  const at = (index: number) => nowS - (WINDOWS - 1 - index) * BACK_S
  const loading = Promise.all(
    Array.from({ length: WINDOWS }, async (_, index) => {
      const query = new URLSearchParams({ from: String(Math.round(at(index) - WINDOW_S)), to: String(Math.round(at(index))), route_id: routeId })
      const { measures } = await get<{ measures: { headway: Measured | null }[] }>(`measures?${query}`)
      return pooled(measures.map((one) => one.headway), at(index))
    }),
  ).then((samples) => samples.filter((one): one is Sample => one !== null))
  asked.set(routeId, loading)
  loading.catch(() => asked.delete(routeId)) // the next look asks again
  return loading
}

const TELLING_S = 15 // a share of less than this says nothing: 3 s that become 7 are no worse

/** Better, worse or the same: the change since the line was switched on, as a share of what it was. */
export function changeOf(line: LineControl): number | null {
  if (line.mode === 'off' || line.ewt_s === null || line.ewt_before_s === null || line.ewt_before_s < TELLING_S) return null
  return line.ewt_s / line.ewt_before_s - 1
}
