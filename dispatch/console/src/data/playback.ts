// The past again: an hour as it was in the place of what is now, at a chosen speed, until the dispatcher returns.
import { address, get } from './api'
import { deriveFleet } from './derive'
import type { Decision, PastMark, PlaybackSpan } from './deskTypes'
import { checkSession, noteRefusal } from './session'
import { advance, getState, setState, type Past } from './store'
import type { Alert, AlertsMessage, HeadwaysMessage, VehiclesMessage } from './types'

export const SPEEDS = [0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600]
export const STEP_S = 10

interface Moment extends VehiclesMessage {
  headways: HeadwaysMessage['headways']
  alerts: Alert[]
  decisions: Decision[]
}

let source: EventSource | null = null
let asked = 0 // of several instants asked for, the last one counts

/** What is stored of a span; throws a RequestError (404: this server keeps nothing to play). */
export async function lookAt(from: number, to: number): Promise<PlaybackSpan> {
  try {
    return await get<PlaybackSpan>(`playback?from=${Math.round(from)}&to=${Math.round(to)}`)
  } catch (error) {
    noteRefusal(error)
    throw error
  }
}

function patch(change: Partial<Past>): void {
  const { past } = getState()
  if (past) setState({ past: { ...past, ...change } })
}

function stop(): void {
  asked += 1
  source?.close()
  source = null
}

function show(vehicles: VehiclesMessage, headways: HeadwaysMessage, change: Partial<Past>): void {
  const { past } = getState()
  if (!past) return
  setState({
    past: { ...past, at: vehicles.as_of, ...change },
    vehicles,
    headways,
    fleet: deriveFleet(vehicles.vehicles, headways.headways),
    ...advance('vehicles', undefined, vehicles.as_of),
  })
}

/** Plays on from where the bar stands. */
export function play(): void {
  const { past } = getState()
  if (!past) return
  stop()
  const from = past.state === 'over' || past.at >= past.to ? past.from : past.at
  patch({ at: from, state: 'loading' })
  const query = new URLSearchParams({ from: from.toFixed(3), to: past.to.toFixed(3), speed: String(past.speed) })
  const stream = new EventSource(address(`playback/stream?${query}`), { withCredentials: true })
  source = stream
  // A frame is its vehicles, then their headways: shown together.
  let vehicles: VehiclesMessage | null = null
  const on = <T>(name: string, apply: (message: T) => void) =>
    stream.addEventListener(name, (event) => {
      if (source === stream) apply(JSON.parse((event as MessageEvent<string>).data) as T)
    })
  on<VehiclesMessage>('vehicles', (message) => (vehicles = message))
  on<HeadwaysMessage>('headways', (message) => vehicles && show(vehicles, message, { state: 'playing' }))
  on<AlertsMessage>('alerts', ({ alerts }) => patch({ alerts }))
  on<{ decisions: Decision[] }>('decisions', ({ decisions }) => patch({ decisions }))
  on<{ reason?: string }>('end', ({ reason }) => {
    stop()
    patch({ state: reason === 'over' ? 'over' : 'failed' })
    if (reason === 'access') void checkSession()
  })
  stream.onerror = () => {
    // By itself the browser would begin the hour anew.
    if (source !== stream) return
    stop()
    patch({ state: 'failed' })
  }
}

export function pause(): void {
  stop()
  patch({ state: 'paused' })
}

export function togglePlay(): void {
  const { past } = getState()
  if (!past) return
  if (past.state === 'playing' || past.state === 'loading') pause()
  else play()
}

/** Shows one instant and stays there. */
async function still(at: number): Promise<void> {
  stop()
  const mine = asked
  patch({ at, state: 'paused' })
  try {
    const moment = await get<Moment>(`playback/at?at=${at.toFixed(3)}`)
    if (asked !== mine) return
    const { alerts, decisions, headways, ...vehicles } = moment
    show(vehicles, { as_of: moment.as_of, feed_version: moment.feed_version, headways }, { alerts, decisions })
  } catch (error) {
    noteRefusal(error)
    if (asked === mine) patch({ state: 'failed' })
  }
}

/** Goes to an instant: what plays goes on playing from there, what stands shows it. */
export function seek(at: number): void {
  const { past } = getState()
  if (!past) return
  const there = Math.min(past.to, Math.max(past.from, at))
  if (past.state === 'playing' || past.state === 'loading') {
    patch({ at: there })
    play()
  } else void still(there)
}

/** A step forward or back, after which it stands. */
export function step(seconds: number): void {
  const { past } = getState()
  if (past) void still(Math.min(past.to, Math.max(past.from, past.at + seconds)))
}

/** The next alert of the span, or the one before; null where there is none. */
export function markFrom(past: Past, way: 1 | -1): PastMark | null {
  return (way > 0 ? past.marks.find((mark) => mark.at > past.at + 0.5) : past.marks.findLast((mark) => mark.at < past.at - 1.5)) ?? null
}

export function setSpeed(speed: number): void {
  const { past } = getState()
  if (!past || speed === past.speed) return
  patch({ speed })
  if (past.state === 'playing' || past.state === 'loading') play()
}

/** One step slower or faster. */
export function shiftSpeed(way: 1 | -1): void {
  const { past } = getState()
  if (!past) return
  const index = SPEEDS.findIndex((speed) => speed >= past.speed)
  const next = SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, (index < 0 ? SPEEDS.length - 1 : index) + way))]
  if (next !== undefined) setSpeed(next)
}

async function loadMarks(from: number, to: number): Promise<void> {
  try {
    const { alerts } = await get<{ alerts: PastMark[] }>(`playback/marks?from=${from.toFixed(3)}&to=${to.toFixed(3)}`)
    const { past } = getState()
    if (past && past.from === from && past.to === to) patch({ marks: alerts.filter((mark) => mark.at >= from) })
  } catch (error) {
    noteRefusal(error) // without marks the hour can still be played
  }
}

export interface Wanted {
  from: number
  to: number
  /** Where to begin; without it at the beginning. */
  at?: number
  speed: number
  positionsGone: boolean
}

export function enterPast({ from, to, at = from, speed, positionsGone }: Wanted): void {
  const { line } = getState()
  setState({
    // The road stays; who is on it now is not who was on it then.
    line: line && { ...line, directions: line.directions.map((direction) => ({ ...direction, vehicles: [] })) },
    past: { from, to, at, speed, state: 'loading', alerts: [], decisions: [], marks: [], positionsGone },
    dialog: null,
    selectedVehicle: null,
    hoveredVehicle: null,
    vehicles: null,
    headways: null,
    fleet: deriveFleet([], []),
  })
  void loadMarks(from, to)
  play()
}

/** Back to now: nothing of the past stays on the page, and the next message of the stream fills it. */
export function returnToLive(): void {
  if (!getState().past) return
  stop()
  const { freshAt } = getState()
  setState({
    past: null,
    vehicles: null,
    headways: null,
    line: null,
    selectedVehicle: null,
    hoveredVehicle: null,
    fleet: deriveFleet([], []),
    freshAt: { ...freshAt, vehicles: 0, headways: 0, line: 0 },
  })
}
