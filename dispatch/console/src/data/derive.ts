// What the page shows that the interface does not say outright: counts, worst headways and joins. Pure functions.
import type { Headway, HeadwayState, Vehicle } from './types'

export const STATES: HeadwayState[] = ['bunched', 'short', 'regular', 'long', 'gapped', 'unknown']

/** Departures this early or late still count as on time, in seconds (the usual window of -1 to +5 minutes). */
export const ON_TIME_S = { early: -60, late: 300 }

export interface LineSummary {
  routeId: string
  vehicles: number
  bunched: number
  gapped: number
  worst: Headway | null
}

export interface Kpis {
  online: number
  onTimeShare: number | null
  bunched: number
  gapped: number
}

export interface Fleet {
  vehicleByKey: Map<string, Vehicle>
  headwayByKey: Map<string, Headway>
  lines: Map<string, LineSummary>
  kpis: Kpis
  /** What nearly all vehicle ids begin with; left out where room is scarce. */
  prefix: string
}

export const vehicleKey = (vehicle: { operator_id: string; vehicle_id: string }): string =>
  `${vehicle.operator_id}/${vehicle.vehicle_id}`

const PREFIX_SHARE = 0.8

/** The longest beginning, up to a delimiter, that at least four in five of the ids have in common. */
export function commonPrefix(ids: string[]): string {
  const counts = new Map<string, number>()
  for (const id of ids) {
    for (const match of id.matchAll(/[-_.:](?=.)/g)) {
      const prefix = id.slice(0, match.index + 1)
      counts.set(prefix, (counts.get(prefix) ?? 0) + 1)
    }
  }
  let longest = ''
  for (const [prefix, count] of counts) {
    if (count > 1 && count >= ids.length * PREFIX_SHARE && prefix.length > longest.length) longest = prefix
  }
  return longest
}

export const shortId = (id: string, prefix: string): string => (id.startsWith(prefix) ? id.slice(prefix.length) : id)

/** How far a headway is from its plan, as a share of the plan: 0 is perfect, 1 is a pair on top of each other or a doubled gap. */
export function severity(headway: Headway): number {
  return headway.ratio === null || headway.state === 'unknown' ? -1 : Math.abs(headway.ratio - 1)
}

/** Punctuality in three words; unknown without a deviation. */
export function punctuality(deviationS: number | null | undefined): 'early' | 'on_time' | 'late' | 'unknown' {
  if (deviationS === null || deviationS === undefined) return 'unknown'
  if (deviationS < ON_TIME_S.early) return 'early'
  return deviationS > ON_TIME_S.late ? 'late' : 'on_time'
}

function summaryOf(lines: Map<string, LineSummary>, routeId: string): LineSummary {
  let summary = lines.get(routeId)
  if (!summary) {
    summary = { routeId, vehicles: 0, bunched: 0, gapped: 0, worst: null }
    lines.set(routeId, summary)
  }
  return summary
}

/** Joins vehicles with their headways and counts both, in one pass each. */
export function deriveFleet(vehicles: Vehicle[], headways: Headway[]): Fleet {
  const vehicleByKey = new Map<string, Vehicle>()
  const headwayByKey = new Map<string, Headway>()
  const lines = new Map<string, LineSummary>()
  // Headways name a vehicle without its operator, so the line tells two operators' vehicles of one number apart.
  const keyByRouteAndVehicle = new Map<string, string>()
  const kpis: Kpis = { online: 0, onTimeShare: null, bunched: 0, gapped: 0 }
  let timed = 0
  let onTime = 0
  for (const vehicle of vehicles) {
    const key = vehicleKey(vehicle)
    vehicleByKey.set(key, vehicle)
    if (vehicle.state !== 'silent') kpis.online += 1
    if (vehicle.route_id !== null) {
      keyByRouteAndVehicle.set(`${vehicle.route_id} ${vehicle.vehicle_id}`, key)
      if (vehicle.state !== 'silent') summaryOf(lines, vehicle.route_id).vehicles += 1
    }
    if (vehicle.state === 'on_trip' && vehicle.deviation_s !== null) {
      timed += 1
      if (punctuality(vehicle.deviation_s) === 'on_time') onTime += 1
    }
  }
  for (const headway of headways) {
    const summary = summaryOf(lines, headway.route_id)
    if (headway.state === 'bunched') summary.bunched += 1
    if (headway.state === 'gapped') summary.gapped += 1
    if (severity(headway) >= 0 && (!summary.worst || severity(headway) > severity(summary.worst))) summary.worst = headway
    const key = keyByRouteAndVehicle.get(`${headway.route_id} ${headway.vehicle_id}`)
    if (key) headwayByKey.set(key, headway)
  }
  for (const summary of lines.values()) {
    kpis.bunched += summary.bunched
    kpis.gapped += summary.gapped
  }
  if (timed > 0) kpis.onTimeShare = onTime / timed
  return { vehicleByKey, headwayByKey, lines, kpis, prefix: commonPrefix(vehicles.map((vehicle) => vehicle.vehicle_id)) }
}

/** The vehicles next to one on its line: its leader, and whoever follows it. */
export function neighboursOf(fleet: Fleet, key: string | null): string[] {
  const vehicle = key === null ? undefined : fleet.vehicleByKey.get(key)
  if (!vehicle || !key) return []
  const leader = fleet.headwayByKey.get(key)?.leader_id ?? null
  const keys: string[] = []
  for (const [other, headway] of fleet.headwayByKey) {
    if (headway.route_id !== vehicle.route_id) continue
    if (headway.leader_id === vehicle.vehicle_id || (leader !== null && headway.vehicle_id === leader)) keys.push(other)
  }
  return keys
}
