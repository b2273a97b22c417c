// A line as it was: stored positions put onto the line's shape, and headways measured from the traces they leave.
import { vehicleKey } from './derive'
import type { Headway, HeadwayState, Line, LineDirection, LineVehicle, Vehicle, VehiclesMessage } from './types'

const NEAR_M = 60 // further away a vehicle is not on this strip
const SLACK_M = 25 // places of the shape as near as the nearest, give or take so much, are told apart by distance
const KEPT_S = 2400
const POINTS_MAX = 400
const M_PER_DEG = 111_195

/** How far along a direction's shape a position lies, in metres; null when it is not on it. `hintM` chooses where the shape meets itself. */
export function alongOf(direction: LineDirection, lon: number, lat: number, hintM: number | null): number | null {
  const scale = Math.cos((lat * Math.PI) / 180)
  const flat = direction.shape.map(([x, y]) => [(x - lon) * M_PER_DEG * scale, (y - lat) * M_PER_DEG] as const)
  const found: { off: number; along: number }[] = []
  let along = 0
  for (let index = 1; index < flat.length; index += 1) {
    const [x0, y0] = flat[index - 1] ?? [0, 0]
    const [x1, y1] = flat[index] ?? [0, 0]
    const length = Math.hypot(x1 - x0, y1 - y0)
    const share = length > 0 ? Math.min(1, Math.max(0, -(x0 * (x1 - x0) + y0 * (y1 - y0)) / length ** 2)) : 0
    const off = Math.hypot(x0 + share * (x1 - x0), y0 + share * (y1 - y0))
    if (off <= NEAR_M) found.push({ off, along: along + share * length })
    along += length
  }
  const nearest = Math.min(...found.map((one) => one.off))
  const likely = found.filter((one) => one.off <= nearest + SLACK_M)
  const best = likely.sort((a, b) => (hintM === null ? a.off - b.off : Math.abs(a.along - hintM) - Math.abs(b.along - hintM)))[0]
  // The feed's own length and the drawn one differ a little.
  return best ? (along > 0 ? (best.along / along) * direction.length_m : 0) : null
}

interface Trace {
  trip: string | null
  direction: number
  seenAt: number
  points: { at: number; along: number; deviation: number | null }[]
}

const traces = new Map<string, Trace>()
let tracedRoute: string | null = null

/** Forgets what vehicles did after an instant (null: all of it), for the bar has been moved. */
export function clearTrails(from: number | null): void {
  if (from === null) return traces.clear()
  for (const [key, trace] of traces) {
    trace.points = trace.points.filter((point) => point.at <= from && point.at >= from - KEPT_S)
    if (trace.points.length === 0) traces.delete(key)
  }
}

function note(vehicle: Vehicle, along: number, at: number): void {
  const key = vehicleKey(vehicle)
  let trace = traces.get(key)
  const last = trace?.points.at(-1)
  const another = !trace || trace.trip !== vehicle.trip_id || trace.direction !== vehicle.direction_id
  // A jump forward leaves a hole that must not be read as a drive, a step back is the bar having been moved.
  if (!trace || another || (last && (at < last.at || at - last.at > 900))) {
    traces.set(key, (trace = { trip: vehicle.trip_id, direction: vehicle.direction_id ?? 0, seenAt: at, points: [] }))
  }
  trace.seenAt = at
  trace.points.push({ at, along, deviation: vehicle.deviation_s })
  if (trace.points.length > POINTS_MAX) trace.points.shift()
}

/** When a trace was at a place, and its deviation there; null when it does not reach back so far. */
export function passedAt(points: Trace['points'], along: number): { at: number; deviation: number | null } | null {
  for (let index = points.length - 1; index > 0; index -= 1) {
    const [before, after] = [points[index - 1], points[index]]
    if (!before || !after || before.along > along || after.along < along) continue
    const share = after.along > before.along ? (along - before.along) / (after.along - before.along) : 0
    return { at: before.at + share * (after.at - before.at), deviation: after.deviation }
  }
  return null
}

function stateOf(ratio: number | null): HeadwayState {
  if (ratio === null) return 'unknown'
  if (ratio < 0.25) return 'bunched'
  if (ratio < 0.5) return 'short'
  return ratio <= 1.5 ? 'regular' : ratio <= 2 ? 'long' : 'gapped'
}

interface Placed {
  vehicle: Vehicle
  along: number
}

function placedOn(direction: LineDirection, routeId: string, vehicles: Vehicle[]): Placed[] {
  return vehicles
    .filter((one) => one.route_id === routeId && one.direction_id === direction.direction_id && one.state !== 'silent')
    .flatMap((vehicle) => {
      const along = alongOf(direction, vehicle.lon, vehicle.lat, vehicle.distance_m)
      return along === null ? [] : [{ vehicle, along }]
    })
    .sort((a, b) => b.along - a.along)
}

function headwayOf({ vehicle, along }: Placed, leader: Placed | undefined, routeId: string, at: number): Headway {
  const passed = leader ? passedAt(traces.get(vehicleKey(leader.vehicle))?.points ?? [], along) : null
  const headway = passed ? at - passed.at : null
  // Two deviations from one timetable give the planned headway: what is observed less how much the follower is later.
  const planned = headway !== null && passed?.deviation != null && vehicle.deviation_s !== null ? headway - (vehicle.deviation_s - passed.deviation) : null
  const ratio = headway !== null && planned !== null && planned > 30 ? headway / planned : null
  return {
    route_id: routeId, direction_id: vehicle.direction_id ?? 0, pattern_id: vehicle.pattern_id ?? '', vehicle_id: vehicle.vehicle_id,
    trip_id: vehicle.trip_id, leader_id: leader?.vehicle.vehicle_id ?? null, stop_id: null, headway_s: headway,
    scheduled_headway_s: ratio === null ? null : planned, deviation_s: ratio === null || planned === null || headway === null ? null : headway - planned,
    ratio, estimated: true, state: stateOf(ratio), gap_m: leader ? leader.along - along : null,
  }
}

/** Headways of one line at an instant, from the traces of the frames played so far. */
export function headwaysInThePast(line: Line, message: VehiclesMessage): Headway[] {
  if (tracedRoute !== line.route_id) traces.clear()
  tracedRoute = line.route_id
  const headways: Headway[] = []
  for (const direction of line.directions) {
    const placed = placedOn(direction, line.route_id, message.vehicles)
    for (const { vehicle, along } of placed) note(vehicle, along, message.as_of)
    placed.forEach((one, index) => headways.push(headwayOf(one, placed[index - 1], line.route_id, message.as_of)))
  }
  for (const [key, trace] of traces) if (message.as_of - trace.seenAt > KEPT_S) traces.delete(key)
  return headways
}

/** The ladder of an instant: the line's own strips with the vehicles of then. */
export function lineInThePast(line: Line, message: VehiclesMessage, headwayByKey: Map<string, Headway>): Line {
  const directions = line.directions.map((direction) => {
    const vehicles = message.vehicles
      .filter((one) => one.route_id === line.route_id && one.direction_id === direction.direction_id)
      .map((vehicle): LineVehicle => {
        const headway = headwayByKey.get(vehicleKey(vehicle))
        return {
          ...vehicle,
          line_m: vehicle.state === 'on_trip' || vehicle.state === 'silent' ? alongOf(direction, vehicle.lon, vehicle.lat, vehicle.distance_m) : null,
          leader_id: headway?.leader_id ?? null, headway_s: headway?.headway_s ?? null, scheduled_headway_s: headway?.scheduled_headway_s ?? null,
          deviation_headway_s: headway?.deviation_s ?? null, headway_state: headway?.state ?? null, gap_m: headway?.gap_m ?? null,
        }
      })
    return { ...direction, vehicles }
  })
  return { ...line, as_of: message.as_of, directions }
}
