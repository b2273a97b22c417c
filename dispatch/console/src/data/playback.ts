// The past again: an hour's positions in the place of the live ones, at a chosen speed, until the dispatcher returns.
import { address, get } from './api'
import { deriveFleet } from './derive'
import type { PlaybackSpan } from './deskTypes'
import { clearTrails, headwaysInThePast } from './pastLine'
import { noteRefusal } from './session'
import { advance, getState, setState, type Past } from './store'
import type { Headway, VehiclesMessage } from './types'

export const SPEEDS = [0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600]

let source: EventSource | null = null

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
  source?.close()
  source = null
}

function show(message: VehiclesMessage): void {
  const { past, selectedRoute, line } = getState()
  if (!past) return
  const headways: Headway[] = selectedRoute && line?.route_id === selectedRoute ? headwaysInThePast(line, message) : []
  setState({
    past: { ...past, at: message.as_of, state: 'playing' },
    vehicles: message,
    headways: null,
    fleet: deriveFleet(message.vehicles, headways),
    ...advance('vehicles', undefined, message.as_of),
  })
}

/** Plays on from where the bar stands. */
export function play(): void {
  const { past } = getState()
  if (!past) return
  stop()
  const from = past.state === 'over' || past.at >= past.to ? past.from : past.at
  clearTrails(from)
  patch({ at: from, state: 'loading' })
  const query = new URLSearchParams({ from: from.toFixed(3), to: past.to.toFixed(3), speed: String(past.speed) })
  const stream = new EventSource(address(`playback/stream?${query}`), { withCredentials: true })
  source = stream
  stream.addEventListener('vehicles', (event) => {
    if (source === stream) show(JSON.parse((event as MessageEvent<string>).data) as VehiclesMessage)
  })
  stream.addEventListener('end', (event) => {
    if (source !== stream) return
    stop()
    const { reason } = JSON.parse((event as MessageEvent<string>).data) as { reason?: string }
    patch({ state: reason === 'away' ? 'failed' : 'over' })
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

export function seek(at: number): void {
  const { past } = getState()
  if (!past) return
  patch({ at: Math.min(past.to, Math.max(past.from, at)), state: 'paused' })
  play()
}

export function setSpeed(speed: number): void {
  const { past } = getState()
  if (!past || speed === past.speed) return
  patch({ speed })
  if (past.state === 'playing' || past.state === 'loading') play()
}

/** One step slower or faster. */
export function shiftSpeed(step: 1 | -1): void {
  const { past } = getState()
  if (!past) return
  const index = SPEEDS.findIndex((speed) => speed >= past.speed)
  const next = SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, (index < 0 ? SPEEDS.length - 1 : index) + step))]
  if (next !== undefined) setSpeed(next)
}

export function enterPast(from: number, to: number, speed: number): void {
  const { line } = getState()
  setState({
    // The road stays; who is on it now is not who was on it then.
    line: line && { ...line, directions: line.directions.map((direction) => ({ ...direction, vehicles: [] })) },
    past: { from, to, at: from, speed, state: 'loading' },
    dialog: null,
    selectedVehicle: null,
    hoveredVehicle: null,
    vehicles: null,
    headways: null,
    fleet: deriveFleet([], []),
  })
  play()
}

/** Back to now: nothing of the past stays on the page, and the next message of the stream fills it. */
export function returnToLive(): void {
  if (!getState().past) return
  stop()
  clearTrails(null)
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
