// The page's state in one place: plain values, replaced and never changed, and a hook that redraws what used them.
import { useEffect, useReducer, useRef } from 'preact/hooks'
import { deriveFleet, type Fleet } from './derive'
import type { AdviceMessage, ControlMessage, Decision, InstructionsMessage, PassengerNotice, PastMark } from './deskTypes'
import type { Activity, Alert, AlertsMessage, HeadwaysMessage, Instance, Line, MapData, Route, Session, VehiclesMessage } from './types'
import type { Validators } from './validators'

export type Connection = 'connecting' | 'live' | 'polling' | 'offline' | 'paused'
export type Feed = 'vehicles' | 'headways' | 'alerts' | 'line' | 'activity' | 'advice' | 'instructions' | 'control'
export type Dialog =
  | 'login'
  | 'help'
  | 'playback'
  | 'notices'
  | 'validators'
  | { kind: 'automatic'; routeId: string; law: string }
  | { kind: 'decisions'; routeId: string }
  | null
export type Tab = 'lines' | 'map' | 'ladder' | 'alerts' | 'advice'
export type Language = 'uk' | 'en'
export type Theme = 'light' | 'dark'

/** An hour that is played again: the page then shows the fleet as it was, and says so everywhere. */
export interface Past {
  from: number
  to: number
  /** The instant on show. */
  at: number
  speed: number
  state: 'loading' | 'playing' | 'paused' | 'over' | 'failed'
  /** As they were at that instant. */
  alerts: Alert[]
  decisions: Decision[]
  /** The alerts of the whole span. */
  marks: PastMark[]
  /** Positions of this time are kept no longer; the rest still is. */
  positionsGone: boolean
}

export interface State {
  instance: Instance | null
  session: Session | null
  routes: Map<string, Route>
  stopNames: Map<string, string>
  map: MapData | null
  vehicles: VehiclesMessage | null
  headways: HeadwaysMessage | null
  alerts: AlertsMessage | null
  line: Line | null
  activity: Activity | null
  validators: Validators | null
  /** Null: not signed in, not answered yet, or a server that has none; its panel is then not there. */
  advice: AdviceMessage | null
  instructions: InstructionsMessage | null
  control: ControlMessage | null
  notices: PassengerNotice[] | null
  fleet: Fleet
  connection: Connection
  /** When each feed's `as_of` last moved on, on the clock of performance.now(); 0 before the first. */
  freshAt: Record<Feed, number>
  /** The server's clock: what it said last, and when that was on performance.now(). */
  serverClock: { asOf: number; seenAt: number } | null
  past: Past | null
  selectedRoute: string | null
  selectedVehicle: string | null
  hoveredVehicle: string | null
  dialog: Dialog
  tab: Tab
  /** Which of the two shares the place below the map where there is none for both. */
  desk: 'alerts' | 'advice'
  /** What is drawn of a line: where its vehicles are now, or how they came there. */
  lineView: 'ladder' | 'stringline'
  search: string
  language: Language
  theme: Theme
  notice: string | null
}

const initial: State = {
  instance: null,
  session: null,
  routes: new Map(),
  stopNames: new Map(),
  map: null,
  vehicles: null,
  headways: null,
  alerts: null,
  line: null,
  activity: null,
  validators: null,
  advice: null,
  instructions: null,
  control: null,
  notices: null,
  fleet: deriveFleet([], []),
  connection: 'connecting',
  freshAt: { vehicles: 0, headways: 0, alerts: 0, line: 0, activity: 0, advice: 0, instructions: 0, control: 0 },
  serverClock: null,
  past: null,
  selectedRoute: null,
  selectedVehicle: null,
  hoveredVehicle: null,
  dialog: null,
  tab: 'map',
  desk: 'alerts',
  lineView: 'ladder',
  search: '',
  language: 'en',
  theme: 'light',
  notice: null,
}

let state = initial
const listeners = new Set<() => void>()

export const getState = (): State => state

export function setState(patch: Partial<State>): void {
  state = { ...state, ...patch }
  for (const listener of listeners) listener()
}

export function subscribe(listener: () => void): () => void {
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

/** Marks a feed as fresh, but only when its time has moved: a server that repeats itself is as silent as none. */
export function advance(feed: Feed, before: number | undefined, asOf: number): Partial<State> {
  if (before !== undefined && asOf <= before) return {}
  return { freshAt: { ...state.freshAt, [feed]: performance.now() } }
}

const clockOf = (asOf: number): Partial<State> =>
  state.serverClock && asOf <= state.serverClock.asOf ? {} : { serverClock: { asOf, seenAt: performance.now() } }

/** The fleet now. While the past is played it only keeps the clock: what is shown then comes from applyPast. */
export function applyVehicles(message: VehiclesMessage): void {
  if (state.past) return setState(clockOf(message.as_of))
  setState({
    vehicles: message,
    fleet: deriveFleet(message.vehicles, state.headways?.headways ?? []),
    ...clockOf(message.as_of),
    ...advance('vehicles', state.vehicles?.as_of, message.as_of),
  })
}

/** Both of one instant at once: what is derived of them and drawn is then made once and not twice. */
export function applyFleet(vehicles: VehiclesMessage, headways: HeadwaysMessage): void {
  if (state.past) return setState(clockOf(vehicles.as_of))
  setState({
    vehicles,
    headways,
    fleet: deriveFleet(vehicles.vehicles, headways.headways),
    ...clockOf(vehicles.as_of),
    freshAt: {
      ...state.freshAt,
      ...advance('vehicles', state.vehicles?.as_of, vehicles.as_of).freshAt,
      ...(advance('headways', state.headways?.as_of, headways.as_of).freshAt ? { headways: performance.now() } : {}),
    },
  })
}

export function applyHeadways(message: HeadwaysMessage): void {
  if (state.past) return
  setState({
    headways: message,
    fleet: deriveFleet(state.vehicles?.vehicles ?? [], message.headways),
    ...advance('headways', state.headways?.as_of, message.as_of),
  })
}

export function applyAlerts(message: AlertsMessage): void {
  setState({ alerts: message, ...clockOf(message.as_of), ...advance('alerts', state.alerts?.as_of, message.as_of) })
}

export function applyAdvice(message: AdviceMessage): void {
  setState({ advice: message, ...advance('advice', state.advice?.as_of, message.as_of) })
}

export function applyInstructions(message: InstructionsMessage): void {
  setState({ instructions: message, ...advance('instructions', state.instructions?.as_of, message.as_of) })
}

/** What a dispatcher alone may see goes with the login. */
export const SIGNED_OUT: Partial<State> = { session: null, activity: null, validators: null, advice: null, instructions: null, control: null, desk: 'alerts' }
