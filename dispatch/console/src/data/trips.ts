// What a dispatcher orders about trips: who drives which, and which are not driven.
import { get, post } from './api'
import type { Cancellation } from './deskTypes'
import { noteRefusal } from './session'
import { getState } from './store'
import type { Vehicle } from './types'

async function order<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    noteRefusal(error)
    throw error
  }
}

/** Puts a vehicle on a trip, or with null lets it speak for itself again. */
export const assign = (vehicle: Vehicle, tripId: string | null): Promise<unknown> =>
  order(post(`vehicles/${encodeURIComponent(vehicle.vehicle_id)}/assign`, { trip_id: tripId, operator_id: vehicle.operator_id }))

export const cancelTrip = (tripId: string, reason: string): Promise<Cancellation> =>
  order(post<Cancellation>(`trips/${encodeURIComponent(tripId)}/cancel`, reason ? { reason } : {}))

export const restoreTrip = (trip: { trip_id: string; start_date?: string | null; start_time?: string | null }): Promise<Cancellation> =>
  order(post<Cancellation>(`trips/${encodeURIComponent(trip.trip_id)}/restore`, {
    ...(trip.start_date ? { start_date: trip.start_date } : {}),
    ...(trip.start_time ? { start_time: trip.start_time } : {}),
  }))

export interface CancelledTrip {
  trip_id: string
  start_date: string | null
  start_time: string | null
}

interface TripUpdates {
  entity?: { trip_update?: { trip: { trip_id?: string; route_id?: string; start_date?: string; start_time?: string; schedule_relationship?: string } } }[]
}

/** The cancelled trips of a line, as passengers are told of them too. */
export async function loadCancelled(routeId: string): Promise<CancelledTrip[]> {
  const url = new URL('gtfs-rt/trip-updates.json', document.baseURI)
  const feed = await get<TripUpdates>(url.href)
  return (feed.entity ?? []).flatMap(({ trip_update }) => {
    const trip = trip_update?.trip
    return trip?.trip_id && trip.route_id === routeId && trip.schedule_relationship === 'CANCELED'
      ? [{ trip_id: trip.trip_id, start_date: trip.start_date ?? null, start_time: trip.start_time ?? null }]
      : []
  })
}

/** Trips of the vehicle's line that are worth offering: those that miss a vehicle first, then those that are driven. */
export function tripsToOffer(vehicle: Vehicle): string[] {
  const { alerts, fleet } = getState()
  const trips = new Set<string>()
  for (const alert of alerts?.alerts ?? []) {
    if (alert.kind === 'missing' && alert.state !== 'closed' && alert.trip_id && alert.route_id === vehicle.route_id) trips.add(alert.trip_id)
  }
  for (const other of fleet.vehicleByKey.values()) {
    if (other.route_id === vehicle.route_id && other.trip_id && other.trip_id !== vehicle.trip_id) trips.add(other.trip_id)
  }
  return [...trips]
}
