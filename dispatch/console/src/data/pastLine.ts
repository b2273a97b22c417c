// A line as it was: stored positions put onto the line's shape, beside the headways that were measured then.
import { vehicleKey } from './derive'
import type { Headway, Line, LineDirection, LineVehicle, VehiclesMessage } from './types'

const NEAR_M = 60 // further away a vehicle is not on this strip
const SLACK_M = 25 // places of the shape as near as the nearest, give or take so much, are told apart by distance
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
          deviation_headway_s: headway?.deviation_s ?? null, headway_state: headway?.state ?? null, gap_m: null,
        }
      })
    return { ...direction, vehicles }
  })
  return { ...line, as_of: message.as_of, directions }
}
