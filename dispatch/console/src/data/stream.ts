// The live connection: server-sent events, plain requests where they do not come through, nothing while nobody looks.
import { address, get } from './api'
import type { AdviceMessage, ControlMessage, InstructionsMessage } from './deskTypes'
import { applyAdvice, applyAlerts, applyFleet, applyHeadways, applyInstructions, applyVehicles, getState, setState, type Feed } from './store'
import { applyControl } from './trend'
import type { AlertsMessage, HeadwaysMessage, VehiclesMessage } from './types'

const SILENCE_MS = 8_000 // an open stream that says nothing for so long is taken for a proxy that holds it back
const HEADWAYS_MS = 250
const POLL_MS = 2_000
const RETRY_STREAM_MS = 30_000

let source: EventSource | null = null
let polling = false
let lastEventAt = 0
let streamOpenedAt = 0
let whenEnded = (): void => undefined

// The desk's feeds come when they change. Once one has come, the stream's own beat says that there is nothing newer.
const carried = new Set<Feed>()

/** Whether the open stream brings a feed whenever it changes. */
export const streamCarries = (feed: Feed): boolean => getState().connection === 'live' && carried.has(feed)

function beat(): void {
  if (carried.size === 0 || !getState().session) return
  const now = performance.now()
  setState({ freshAt: { ...getState().freshAt, ...Object.fromEntries([...carried].map((feed) => [feed, now])) } })
}

const parsed = <T>(event: MessageEvent<string>): T => JSON.parse(event.data) as T

function openStream(): void {
  closeStream()
  carried.clear()
  streamOpenedAt = performance.now()
  const stream = new EventSource(address('stream'), { withCredentials: true })
  source = stream
  const on = <T>(name: string, apply: (message: T) => void) =>
    stream.addEventListener(name, (event) => {
      lastEventAt = performance.now()
      if (getState().connection !== 'live') setState({ connection: 'live' })
      apply(parsed<T>(event as MessageEvent<string>))
    })
  // Headways follow their vehicles at once; a server that sends none shall not keep the vehicles waiting.
  let vehicles: VehiclesMessage | null = null
  let waiting = 0
  const alone = () => {
    if (vehicles && source === stream) applyVehicles(vehicles)
    vehicles = null
  }
  on<VehiclesMessage>('vehicles', (message) => {
    vehicles = message
    clearTimeout(waiting)
    waiting = setTimeout(alone, HEADWAYS_MS)
    beat()
  })
  on<HeadwaysMessage>('headways', (message) => {
    clearTimeout(waiting)
    if (vehicles) applyFleet(vehicles, message)
    else applyHeadways(message)
    vehicles = null
  })
  on<AlertsMessage>('alerts', applyAlerts)
  // A stream that was opened signed in may bring a last one of these after signing out.
  const onDesk = <T>(name: Feed, apply: (message: T) => void) =>
    on<T>(name, (message) => {
      if (!getState().session) return
      carried.add(name)
      apply(message)
    })
  onDesk<AdviceMessage>('advice', applyAdvice)
  onDesk<InstructionsMessage>('instructions', applyInstructions)
  onDesk<ControlMessage>('control', applyControl)
  // The sign-in that the stream was opened with is over; the browser opens it anew by itself, for what everybody sees.
  on('end', () => whenEnded())
  stream.onerror = () => {
    // The browser tries again by itself unless the answer was final (readyState CLOSED).
    if (source === stream && getState().connection === 'live') setState({ connection: 'connecting' })
  }
}

function closeStream(): void {
  source?.close()
  source = null
}

async function pollOnce(): Promise<void> {
  if (polling) return
  polling = true
  try {
    const [vehicles, headways, alerts] = await Promise.all([
      get<VehiclesMessage>('vehicles'),
      get<HeadwaysMessage>('headways'),
      get<AlertsMessage>('alerts'),
    ])
    applyVehicles(vehicles)
    applyHeadways(headways)
    applyAlerts(alerts)
    if (getState().connection !== 'live') setState({ connection: 'polling' })
  } catch {
    if (getState().connection !== 'live') setState({ connection: 'offline' })
  } finally {
    polling = false
  }
}

function watch(): void {
  if (document.hidden) return
  const now = performance.now()
  const silentMs = now - Math.max(lastEventAt, streamOpenedAt)
  const dead = source === null || source.readyState === EventSource.CLOSED
  if (silentMs < SILENCE_MS && !dead) return
  if (getState().connection === 'live') setState({ connection: 'connecting' })
  void pollOnce()
  if (dead ? silentMs > POLL_MS * 2 : silentMs > RETRY_STREAM_MS) openStream()
}

function followVisibility(): void {
  if (document.hidden) {
    closeStream()
    setState({ connection: 'paused' })
  } else {
    setState({ connection: 'connecting' })
    openStream()
  }
}

/** Opens the stream anew, for what it carries depends on who is signed in when it opens. */
export function restartStream(): void {
  if (source !== null) openStream()
}

/** Starts the live connection and keeps it for as long as the page lives; `ended` hears that the sign-in is over. */
export function startStream(ended: () => void): void {
  whenEnded = ended
  document.addEventListener('visibilitychange', followVisibility)
  window.addEventListener('pagehide', closeStream)
  setInterval(watch, POLL_MS)
  if (document.hidden) setState({ connection: 'paused' })
  else openStream()
}
