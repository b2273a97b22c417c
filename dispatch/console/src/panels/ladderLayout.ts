// Where things stand on a ladder: places along the line in pixels, labels kept apart. Pure functions.
import type { LineDirection, LineStop, LineVehicle } from '../data/types'
import type { HeadwayState } from '../data/types'

export interface Placed {
  vehicle: LineVehicle
  /** Pixels from the top of the strip: the vehicle itself, and its label, which may have had to move. */
  y: number
  labelY: number
}

export interface Gap {
  key: string
  fromY: number
  toY: number
  state: HeadwayState
}

export interface StopMark {
  stop: LineStop
  y: number
  named: boolean
}

/**
 * The nearest places to the wished ones that are `pitch` apart and inside [low, high]: least squares by pooling
 * neighbours that would overlap (the pool-adjacent-violators algorithm). `wished` must ascend.
 */
export function spread(wished: number[], pitch: number, low: number, high: number): number[] {
  const blocks: { sum: number; count: number; first: number }[] = []
  wished.forEach((place, index) => {
    let block = { sum: place - index * pitch, count: 1, first: index }
    for (let last = blocks.at(-1); last && last.sum / last.count > block.sum / block.count; last = blocks.at(-1)) {
      blocks.pop()
      block = { sum: last.sum + block.sum, count: last.count + block.count, first: last.first }
    }
    blocks.push(block)
  })
  const top = high - (wished.length - 1) * pitch
  return blocks.flatMap((block) => {
    const start = Math.max(low, Math.min(block.sum / block.count, Math.max(low, top)))
    return Array.from({ length: block.count }, (_, index) => start + (block.first + index) * pitch)
  })
}

export interface Scale {
  height: number
  pad: number
  lengthM: number
  /** The way back is drawn upwards, so that both strips show the same end of the city at the same height. */
  upward: boolean
}

export function yAt(scale: Scale, along: number): number {
  const share = scale.lengthM > 0 ? Math.min(1, Math.max(0, along / scale.lengthM)) : 0
  const run = scale.height - 2 * scale.pad
  return scale.pad + (scale.upward ? 1 - share : share) * run
}

export function placeVehicles(direction: LineDirection, scale: Scale, pitch: number): Placed[] {
  const placed = direction.vehicles
    .filter((vehicle) => vehicle.line_m !== null)
    .map((vehicle) => ({ vehicle, y: yAt(scale, vehicle.line_m ?? 0), labelY: 0 }))
    .sort((a, b) => a.y - b.y || a.vehicle.vehicle_id.localeCompare(b.vehicle.vehicle_id))
  const labels = spread(placed.map((one) => one.y), pitch, pitch / 2, scale.height - pitch / 2)
  return placed.map((one, index) => ({ ...one, labelY: labels[index] ?? one.y }))
}

/** The road between each vehicle and its leader, in the colour of that headway. */
export function gapsBetween(placed: Placed[], scale: Scale): Gap[] {
  const byId = new Map(placed.map((one) => [one.vehicle.vehicle_id, one]))
  return placed.flatMap(({ vehicle, y }) => {
    if (!vehicle.leader_id) return []
    const leader = byId.get(vehicle.leader_id)
    // A leader that has left the strip went out at its end.
    const toY = leader ? leader.y : yAt(scale, scale.lengthM)
    return [{ key: vehicle.vehicle_id, fromY: y, toY, state: vehicle.headway_state ?? 'unknown' }]
  })
}

/** All stops, of which those are named that leave each other room; the ends always are. */
export function markStops(direction: Pick<LineDirection, 'stops'>, scale: Scale, room: number): StopMark[] {
  const marks = direction.stops.map((stop) => ({ stop, y: yAt(scale, stop.distance_m), named: false }))
  const taken: number[] = []
  const order = [0, marks.length - 1, ...marks.keys()]
  for (const index of order) {
    const mark = marks[index]
    if (!mark || mark.named || taken.some((y) => Math.abs(y - mark.y) < room)) continue
    mark.named = true
    taken.push(mark.y)
  }
  return marks
}

/** The middle planned headway of a direction, in seconds. */
export function plannedHeadway(direction: LineDirection): number | null {
  const plans = direction.vehicles.flatMap((one) => (one.scheduled_headway_s ? [Math.abs(one.scheduled_headway_s)] : []))
  plans.sort((a, b) => a - b)
  return plans[Math.floor(plans.length / 2)] ?? null
}
