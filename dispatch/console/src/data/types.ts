// The JSON of the HTTP interface, as the console reads it. Times are Unix seconds; null means unknown.

export type HeadwayState = 'bunched' | 'short' | 'regular' | 'long' | 'gapped' | 'unknown'
export type VehicleState = 'on_trip' | 'layover' | 'off_route' | 'unassigned' | 'silent'

export interface Instance {
  name: string
  version: string
  feed_version: string
  timezone: string
  demo: boolean
  service_date: string | null
  timetable_shift_s: number
  currency: string
  tile_url: string | null
  languages: string[]
}

export interface Vehicle {
  vehicle_id: string
  operator_id: string
  lat: number
  lon: number
  bearing_deg: number | null
  speed_mps: number | null
  ts: number
  age_s: number
  state: VehicleState
  route_id: string | null
  direction_id: number | null
  trip_id: string | null
  start_date: string | null
  block_id: string | null
  pattern_id: string | null
  distance_m: number | null
  off_route_m: number | null
  deviation_s: number | null
  next_stop_id: string | null
  next_stop_sequence: number | null
  occupancy: string | null
  assigned: 'given' | 'inferred' | null
  clock_off_s?: number | null
}

export interface VehiclesMessage {
  as_of: number
  feed_version: string
  vehicles: Vehicle[]
}

export interface Headway {
  route_id: string
  direction_id: number
  pattern_id: string
  vehicle_id: string
  trip_id: string | null
  leader_id: string | null
  stop_id: string | null
  headway_s: number | null
  scheduled_headway_s: number | null
  deviation_s: number | null
  ratio: number | null
  estimated: boolean
  state: HeadwayState
  gap_m?: number | null
  since_s?: number | null
}

export interface HeadwaysMessage {
  as_of: number
  feed_version: string
  headways: Headway[]
}

export type AlertKind = 'bunched' | 'gapped' | 'off_route' | 'alarm' | 'silent' | 'late_departure' | 'missing'

export interface Alert {
  id: string
  kind: AlertKind
  state: 'open' | 'acknowledged' | 'shelved' | 'closed'
  route_id: string | null
  direction_id: number | null
  vehicle_id: string | null
  leader_id: string | null
  stop_id: string | null
  opened_at: number
  updated_at: number
  headway_s: number | null
  scheduled_headway_s: number | null
  ratio: number | null
  acknowledged_by: string | null
  acknowledged_at: number | null
  closed_at: number | null
  /** Null: it was over by itself. */
  closed_by?: string | null
  close_reason?: string | null
  shelved_by?: string | null
  shelved_until?: number | null
  /** Of late departures, silence and missing trips, in seconds. */
  late_s?: number | null
  trip_id?: string | null
}

export interface AlertsMessage {
  as_of: number
  alerts: Alert[]
}

export interface RouteDirection {
  direction_id: number
  headsign: string
  pattern_id: string
  length_m: number
}

export interface Route {
  route_id: string
  short_name: string
  long_name: string
  route_type: number
  color: string
  text_color: string
  directions: RouteDirection[]
}

export interface LineStop {
  stop_id: string
  name: string
  lat: number
  lon: number
  distance_m: number
}

export interface LineVehicle extends Vehicle {
  line_m: number | null
  leader_id: string | null
  headway_s: number | null
  scheduled_headway_s: number | null
  deviation_headway_s: number | null
  headway_state: HeadwayState | null
  gap_m: number | null
}

export interface LineDirection extends RouteDirection {
  shape: [number, number][]
  stops: LineStop[]
  vehicles: LineVehicle[]
}

export interface Line {
  route_id: string
  short_name: string
  as_of: number
  directions: LineDirection[]
}

export interface MapData {
  bounds: [number, number, number, number]
  lines: GeoJSON.FeatureCollection<
    GeoJSON.LineString | GeoJSON.MultiLineString,
    { route_id: string; direction_id: number; short_name: string; color: string; route_type: number }
  >
  stops: GeoJSON.FeatureCollection<GeoJSON.Point, { stop_id: string; name: string }>
}

export interface Activity {
  as_of: number
  taps_per_minute: number
  accepted_per_minute: number
  refused_per_minute: number
  by_minute: { minute: number; accepted: number; refused: number }[]
  degraded_since: number | null
  degraded_reason: string | null
}

export interface Session {
  user: string
  role: string
}
