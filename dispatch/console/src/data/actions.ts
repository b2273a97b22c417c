// What the dispatcher and the page itself do: load, select, sign in, acknowledge, instruct.
import { get, post, remove, RequestError } from './api'
import { restartStream } from './stream'
import { advance, applyAlerts, getState, setState, subscribe } from './store'
import type { Activity, Alert, AlertsMessage, Instance, Line, MapData, Route, Session } from './types'

const ACTIVITY_MS = 5_000
const LINE_MS = 900 // a little under the tick, so that each tick may bring one refresh
const RELOAD_MS = 5_000

// Only a page that has signed in asks who it is: an anonymous one would get a 401 each time it loads.
const SIGNED_IN = 'takt.signed-in'

function remembered(): boolean {
  try {
    return localStorage.getItem(SIGNED_IN) === '1'
  } catch {
    return false
  }
}

function remember(signedIn: boolean): void {
  try {
    if (signedIn) localStorage.setItem(SIGNED_IN, '1')
    else localStorage.removeItem(SIGNED_IN)
  } catch {
    // Storage may be forbidden; then the page asks for the password again after a reload.
  }
}

/** Loads what changes with the feed only: names, colours, shapes, stops. Tries again until it works. */
export async function loadNetwork(): Promise<void> {
  try {
    const [instance, routes, map] = await Promise.all([
      get<Instance>('instance'),
      get<{ routes: Route[] }>('routes'),
      get<MapData>('map'),
    ])
    setState({
      instance,
      routes: new Map(routes.routes.map((route) => [route.route_id, route])),
      map,
      stopNames: new Map(map.stops.features.map(({ properties }) => [properties.stop_id, properties.name])),
    })
  } catch {
    setTimeout(() => void loadNetwork(), RELOAD_MS)
  }
}

/** Loads the network again when the server speaks of another feed version. */
export function followFeedVersion(): void {
  let loading: string | null = null
  subscribe(() => {
    const { instance, vehicles } = getState()
    const version = vehicles?.feed_version
    if (!instance || !version || version === instance.feed_version || version === loading) return
    loading = version
    void loadNetwork()
  })
}

export async function restoreSession(): Promise<void> {
  if (!remembered()) return
  try {
    setState({ session: await get<Session>('session') })
  } catch (error) {
    if (error instanceof RequestError && error.status === 401) remember(false)
  }
}

/** Signs in; throws a RequestError that says why not. */
export async function signIn(user: string, password: string): Promise<void> {
  const answer = await post<Session | null>('session', { user, password })
  remember(true)
  setState({ session: answer?.user ? answer : await get<Session>('session'), dialog: null })
  restartStream()
  void loadActivity()
}

export async function signOut(): Promise<void> {
  remember(false)
  setState({ session: null, activity: null })
  await remove('session').catch(() => undefined)
  restartStream()
}

/** A session that has run out shows as signed out, wherever that is noticed. */
function noteRefusal(error: unknown): void {
  if (error instanceof RequestError && error.status === 401) {
    remember(false)
    setState({ session: null, activity: null })
  }
}

export async function loadActivity(): Promise<void> {
  if (!getState().session || document.hidden) return
  try {
    const activity = await get<Activity>('ticketing/activity')
    setState({ activity, ...advance('activity', getState().activity?.as_of, activity.as_of) })
  } catch (error) {
    noteRefusal(error)
  }
}

export function startActivity(): void {
  setInterval(() => void loadActivity(), ACTIVITY_MS)
}

/** Keeps the selected line's ladder in step with the fleet: one request a tick at most, never two at once. */
export function followLine(): void {
  let busy = false
  let askedAt = 0
  let askedRoute: string | null = null
  let seen: unknown = null
  subscribe(() => {
    const { selectedRoute, vehicles } = getState()
    if (selectedRoute === null || busy) return
    const another = selectedRoute !== askedRoute
    if (!another && (vehicles === seen || performance.now() - askedAt < LINE_MS)) return
    busy = true
    askedRoute = selectedRoute
    askedAt = performance.now()
    seen = vehicles
    get<Line>(`routes/${encodeURIComponent(selectedRoute)}/line`)
      .then((line) => {
        const state = getState()
        if (state.selectedRoute !== line.route_id) return
        const before = state.line?.route_id === line.route_id ? state.line.as_of : undefined
        setState({ line, ...advance('line', before, line.as_of) })
      })
      .catch(() => undefined) // the panel turns stale by itself
      .finally(() => {
        busy = false
      })
  })
}

export function selectRoute(routeId: string | null): void {
  const same = getState().line?.route_id === routeId
  setState({ selectedRoute: routeId, ...(same ? {} : { line: null }) })
}

export function selectVehicle(key: string | null): void {
  const vehicle = key === null ? undefined : getState().fleet.vehicleByKey.get(key)
  setState({ selectedVehicle: key })
  if (vehicle?.route_id) selectRoute(vehicle.route_id)
}

/** Acknowledges an alert at once on the page and then on the server; throws a RequestError when refused. */
export async function acknowledge(alert: Alert): Promise<void> {
  try {
    const answer = await post<Alert | null>(`alerts/${encodeURIComponent(alert.id)}/acknowledge`)
    const alerts = getState().alerts
    if (alerts && answer?.id) {
      applyAlerts({ ...alerts, alerts: alerts.alerts.map((one) => (one.id === answer.id ? answer : one)) } as AlertsMessage)
    }
  } catch (error) {
    noteRefusal(error)
    throw error
  }
}

export interface Instruction {
  operator_id: string
  vehicle_id: string
  kind: 'hold' | 'message'
  text: string
  until_ts: number | null
}

export async function sendInstruction(instruction: Instruction): Promise<void> {
  try {
    await post('instructions', instruction)
  } catch (error) {
    noteRefusal(error)
    throw error
  }
}
