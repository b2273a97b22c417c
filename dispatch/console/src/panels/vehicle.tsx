// The card of one vehicle: what is known about it, and a word to its driver.
import { useEffect, useState } from 'preact/hooks'
import { selectVehicle, sendInstruction } from '../data/actions'
import { punctuality } from '../data/derive'
import { setState, useStore } from '../data/store'
import type { Vehicle } from '../data/types'
import { duration, plan, signed, useFormat, useMessages } from '../i18n'
import { LineBadge, StateMark } from '../ui/badges'
import { serverNow, useSecond } from '../ui/clock'

const HOLD_MINUTES = [1, 2, 3, 5, 10]

function Fields({ vehicle, routeKey }: { vehicle: Vehicle; routeKey: string }) {
  useSecond()
  const text = useMessages()
  const { integer } = useFormat()
  const headway = useStore((state) => state.fleet.headwayByKey.get(routeKey))
  const stop = useStore((state) => (vehicle.next_stop_id ? state.stopNames.get(vehicle.next_stop_id) : undefined))
  const timing = punctuality(vehicle.deviation_s)
  const age = Math.max(0, serverNow() - vehicle.ts)
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
  ]
  return (
    <dl class="fields">
      {fields.map(([name, value]) => (
        <div key={name}><dt>{name}</dt><dd>{value}</dd></div>
      ))}
    </dl>
  )
}

function Instruct({ vehicle }: { vehicle: Vehicle }) {
  const text = useMessages()
  const { integer } = useFormat()
  const signedIn = useStore((state) => state.session !== null)
  const [kind, setKind] = useState<'message' | 'hold'>('message')
  const [words, setWords] = useState('')
  const [minutes, setMinutes] = useState(2)
  const [busy, setBusy] = useState(false)

  if (!signedIn) {
    return <button type="button" class="link" onClick={() => setState({ dialog: 'login' })}>{text.signInToInstruct}</button>
  }
  const send = async (event: Event) => {
    event.preventDefault()
    setBusy(true)
    try {
      await sendInstruction({
        operator_id: vehicle.operator_id,
        vehicle_id: vehicle.vehicle_id,
        kind,
        text: kind === 'hold' ? words || text.holdText(String(minutes)) : words,
        until_ts: kind === 'hold' ? Math.round(serverNow()) + minutes * 60 : null,
      })
      setWords('')
      setState({ notice: text.sent(vehicle.vehicle_id) })
    } catch (error) {
      setState({ notice: text.failed(error instanceof Error ? error.message : '') })
    } finally {
      setBusy(false)
    }
  }
  return (
    <form class="instruct" onSubmit={(event) => void send(event)} aria-label={text.instruct}>
      <div class="instruct__row">
        <select class="input" aria-label={text.instruct} value={kind} onChange={(event) => setKind(event.currentTarget.value as 'message' | 'hold')}>
          <option value="message">{text.kindMessage}</option>
          <option value="hold">{text.kindHold}</option>
        </select>
        {kind === 'hold' && (
          <select class="input" aria-label={text.holdFor} value={minutes} onChange={(event) => setMinutes(Number(event.currentTarget.value))}>
            {HOLD_MINUTES.map((n) => <option key={n} value={n}>{text.minutes(integer(n))}</option>)}
          </select>
        )}
        <button type="submit" class="button button--small button--primary" disabled={busy || (kind === 'message' && !words.trim())}>{text.send}</button>
      </div>
      <input class="input" value={words} maxLength={200} aria-label={text.messageText}
        placeholder={kind === 'hold' ? text.holdText(String(minutes)) : text.messageText}
        onInput={(event) => setWords(event.currentTarget.value)} />
    </form>
  )
}

export function VehicleCard() {
  const text = useMessages()
  const key = useStore((state) => state.selectedVehicle)
  const vehicle = useStore((state) => (state.selectedVehicle ? state.fleet.vehicleByKey.get(state.selectedVehicle) : undefined))
  const route = useStore((state) => (vehicle?.route_id ? state.routes.get(vehicle.route_id) : undefined))
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
      <Instruct key={key} vehicle={vehicle} />
    </aside>
  )
}
