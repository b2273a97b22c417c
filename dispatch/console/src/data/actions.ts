// What the dispatcher and the page itself do: load, select, see to alerts, instruct.
import { get, post } from './api'
import { refreshDesk } from './desk'
import { lineInThePast } from './pastLine'
import { noteRefusal } from './session'
import { advance, applyAlerts, getState, setState, subscribe } from './store'
import type { Activity, Alert, AlertsMessage, Instance, Line, MapData, Route } from './types'

const ACTIVITY_MS = 5_000
const LINE_MS = 900 // a little under the tick, so that each tick may bring one refresh
const RELOAD_MS = 5_000

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
    const { selectedRoute, vehicles, line, past, fleet } = getState()
    if (selectedRoute === null || busy) return
    if (past && line?.route_id === selectedRoute) {
      // In the past only the road is asked for, once; who was on it is known already.
      if (vehicles === seen || !vehicles) return
      seen = vehicles
      setState({ line: lineInThePast(line, vehicles, fleet.headwayByKey), ...advance('line', undefined, vehicles.as_of) })
      return
    }
    const another = selectedRoute !== askedRoute
    if (!another && (vehicles === seen || performance.now() - askedAt < LINE_MS)) return
    busy = true
    askedRoute = selectedRoute
    askedAt = performance.now()
    seen = past ? null : vehicles
    get<Line>(`routes/${encodeURIComponent(selectedRoute)}/line`)
      .then((answer) => {
        const state = getState()
        if (state.selectedRoute !== answer.route_id) return
        if (state.past) return setState({ line: state.vehicles ? lineInThePast(answer, state.vehicles, state.fleet.headwayByKey) : answer })
        const before = state.line?.route_id === answer.route_id ? state.line.as_of : undefined
        setState({ line: answer, ...advance('line', before, answer.as_of) })
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

async function onAlert(alert: Alert, what: 'acknowledge' | 'shelve' | 'close', body?: object): Promise<void> {
  try {
    const answer = await post<Alert | null>(`alerts/${encodeURIComponent(alert.id)}/${what}`, body)
    const alerts = getState().alerts
    if (alerts && answer?.id) {
      applyAlerts({ ...alerts, alerts: alerts.alerts.map((one) => (one.id === answer.id ? answer : one)) } as AlertsMessage)
    }
  } catch (error) {
    noteRefusal(error)
    throw error
  }
}

/** Each shows at once what the server answers; throws a RequestError when refused. */
export const acknowledge = (alert: Alert): Promise<void> => onAlert(alert, 'acknowledge')
export const shelve = (alert: Alert, minutes: number): Promise<void> => onAlert(alert, 'shelve', { minutes })
export const closeAlert = (alert: Alert, reason: string): Promise<void> => onAlert(alert, 'close', { reason })

export interface InstructionDraft {
  operator_id: string
  vehicle_id: string
  kind: 'hold' | 'message'
  text: string
  until_ts: number | null
}

export async function sendInstruction(instruction: InstructionDraft): Promise<void> {
  try {
    await post('instructions', instruction)
  } catch (error) {
    noteRefusal(error)
    throw error
  } finally {
    refreshDesk()
  }
}
