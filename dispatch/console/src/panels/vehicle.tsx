// The card of one vehicle: what is known about it, its trip, and what its driver is told.
import { useEffect } from 'preact/hooks'
import { selectVehicle } from '../data/actions'
import { punctuality } from '../data/derive'
import { setState, useStore } from '../data/store'
import type { Vehicle } from '../data/types'
import { duration, plan, signed, useFormat, useMessages } from '../i18n'
import type { Messages } from '../i18n/en'
import { LineBadge, StateMark } from '../ui/badges'
import { shownNow, useSecond } from '../ui/clock'
import { Driver } from './driver'
import { TripTools } from './tripTools'

/** How wrong a device's clock is, in the largest unit that says enough. */
function clockOff(offS: number, text: Messages, integer: (n: number) => string) {
  const s = Math.abs(offS)
  const much = s < 7200 ? text.minutes(integer(Math.round(s / 60)))
    : s < 172800 ? text.hours(integer(Math.round(s / 3600)))
    : text.days(integer(Math.round(s / 86400)))
  return text.clockOff(much, offS > 0)
}

function Fields({ vehicle, routeKey }: { vehicle: Vehicle; routeKey: string }) {
  useSecond()
  const text = useMessages()
  const { integer } = useFormat()
  const headway = useStore((state) => state.fleet.headwayByKey.get(routeKey))
  const stop = useStore((state) => (vehicle.next_stop_id ? state.stopNames.get(vehicle.next_stop_id) : undefined))
  const timing = punctuality(vehicle.deviation_s)
  const age = Math.max(0, shownNow() - vehicle.ts)
  const fields: [string, preact.ComponentChild][] = [
    [text.fields.state, text.vehicleStates[vehicle.state]],
    [text.fields.deviation, vehicle.deviation_s === null ? '–' : (
      <span class={`time-${timing}`}>{signed(vehicle.deviation_s)} {text.punctuality[timing]}</span>
    )],
    [text.fields.headway, headway ? (
      <span class={`tone-${headway.state} inline`}>
        <StateMark state={headway.state} />
        {duration(headway.headway_s)} / {plan(headway.scheduled_headway_s)}
        {headway.estimated && <small> ({text.estimated})</small>}
      </span>
    ) : '–'],
    [text.fields.leader, headway?.leader_id ?? text.noLeader],
    [text.fields.nextStop, stop ?? vehicle.next_stop_id ?? '–'],
    [text.fields.trip, vehicle.trip_id ? `${vehicle.trip_id}${vehicle.assigned === 'inferred' ? ` (${text.inferred})` : ''}` : '–'],
    ...(vehicle.block_id ? [[text.fields.block, vehicle.block_id] as [string, string]] : []),
    ...(vehicle.speed_mps !== null ? [[text.fields.speed, text.kmh(integer(vehicle.speed_mps * 3.6))] as [string, string]] : []),
    ...(vehicle.occupancy ? [[text.fields.occupancy, text.occupancy[vehicle.occupancy] ?? vehicle.occupancy] as [string, string]] : []),
    [text.fields.age, text.ago(integer(Math.floor(age)))],
    ...(vehicle.clock_off_s != null ? [[text.fields.clock, clockOff(vehicle.clock_off_s, text, integer)] as [string, string]] : []),
  ]
  return (
    <dl class="fields">
      {fields.map(([name, value]) => (
        <div key={name}><dt>{name}</dt><dd>{value}</dd></div>
      ))}
    </dl>
  )
}

export function VehicleCard() {
  const text = useMessages()
  const key = useStore((state) => state.selectedVehicle)
  const vehicle = useStore((state) => (state.selectedVehicle ? state.fleet.vehicleByKey.get(state.selectedVehicle) : undefined))
  const route = useStore((state) => (vehicle?.route_id ? state.routes.get(vehicle.route_id) : undefined))
  const inThePast = useStore((state) => state.past !== null)
  const gone = key !== null && vehicle === undefined
  useEffect(() => {
    if (gone) setState({ selectedVehicle: null })
  }, [gone])
  if (!key || !vehicle) return null
  const direction = route?.directions.find((one) => one.direction_id === vehicle.direction_id)
  return (
    <aside class="card" aria-label={`${text.vehicle} ${vehicle.vehicle_id}`}>
      <div class="card__head">
        {vehicle.route_id && <LineBadge route={route} routeId={vehicle.route_id} />}
        <h2>{vehicle.vehicle_id}</h2>
        <span class="card__where">{direction ? text.toward(direction.headsign) : ''}</span>
        <button type="button" class="button button--icon button--bare" aria-label={text.close} onClick={() => selectVehicle(null)}>×</button>
      </div>
      <Fields vehicle={vehicle} routeKey={key} />
      {inThePast ? <p class="form__hint">{text.desk.past.noOrders}</p> : (
        <>
          <TripTools key={`trip ${key}`} vehicle={vehicle} />
          <Driver key={`driver ${key}`} vehicle={vehicle} />
        </>
      )}
    </aside>
  )
}
