// Orders about the trip of one vehicle: put it on another by hand, let it go, cancel the trip, take that back.
import { useEffect, useState } from 'preact/hooks'
import { assign, cancelTrip, loadCancelled, restoreTrip, tripsToOffer, type CancelledTrip } from '../data/trips'
import { useStore } from '../data/store'
import type { Vehicle } from '../data/types'
import { useMessages } from '../i18n'
import { useAttempt, type Attempt } from '../ui/attempt'

interface ToolProps {
  vehicle: Vehicle
  busy: boolean
  attempt: Attempt
}

function Assign({ vehicle, busy, attempt }: ToolProps) {
  const text = useMessages().desk.trips
  const [trip, setTrip] = useState('')
  const [offered] = useState(() => tripsToOffer(vehicle))
  const submit = async (event: Event) => {
    event.preventDefault()
    const tripId = trip.trim()
    if (await attempt(() => assign(vehicle, tripId), text.assigned(vehicle.vehicle_id, tripId))) setTrip('')
  }
  return (
    <form class="instruct__row" onSubmit={(event) => void submit(event)}>
      <input class="input" list="trips-offered" value={trip} maxLength={200} placeholder={text.tripId} aria-label={text.assignTo} onInput={(event) => setTrip(event.currentTarget.value)} />
      <datalist id="trips-offered">{offered.map((one) => <option key={one} value={one} />)}</datalist>
      <button type="submit" class="button button--small" disabled={busy || !trip.trim()}>{text.assign}</button>
    </form>
  )
}

/** A cancelled trip leaves people standing, so it takes a reason or none, but always a second word. */
function Cancel({ tripId, busy, attempt, onDone }: { tripId: string; busy: boolean; attempt: Attempt; onDone: () => void }) {
  const text = useMessages().desk.trips
  const [sure, setSure] = useState(false)
  const [reason, setReason] = useState('')
  if (!sure) return <button type="button" class="button button--small" disabled={busy} onClick={() => setSure(true)}>{text.cancel}</button>
  const submit = async (event: Event) => {
    event.preventDefault()
    if (await attempt(() => cancelTrip(tripId, reason.trim()), text.tripCancelled(tripId))) onDone()
    setSure(false)
  }
  return (
    <form class="trip__sure" onSubmit={(event) => void submit(event)}>
      <b>{text.cancelSure(tripId)}</b>
      <input class="input" value={reason} maxLength={200} placeholder={text.reason} aria-label={text.reason} onInput={(event) => setReason(event.currentTarget.value)} />
      <span class="instruct__row">
        <button type="submit" class="button button--small button--danger" disabled={busy}>{text.yesCancel}</button>
        <button type="button" class="button button--small" onClick={() => setSure(false)}>{text.keep}</button>
      </span>
    </form>
  )
}

function Cancelled({ trips, busy, attempt, onDone }: { trips: CancelledTrip[] | null; busy: boolean; attempt: Attempt; onDone: () => void }) {
  const text = useMessages().desk.trips
  if (trips === null) return null
  if (trips.length === 0) return <p class="log__none">{text.noneCancelled}</p>
  return (
    <div class="trip__cancelled">
      <b>{text.cancelled}</b>
      {trips.map((trip) => (
        <span key={`${trip.trip_id} ${trip.start_date} ${trip.start_time}`} class="trip__row">
          <span title={trip.trip_id}>{trip.trip_id}</span>
          <button type="button" class="button button--small" disabled={busy}
            onClick={() => void attempt(() => restoreTrip(trip), text.tripRestored(trip.trip_id)).then((done) => done && onDone())}>{text.restore}</button>
        </span>
      ))}
    </div>
  )
}

export function TripTools({ vehicle }: { vehicle: Vehicle }) {
  const text = useMessages().desk.trips
  const signedIn = useStore((state) => state.session !== null)
  const [open, setOpen] = useState(false)
  const [asked, setAsked] = useState(0)
  const [cancelled, setCancelled] = useState<CancelledTrip[] | null>(null)
  const { busy, attempt } = useAttempt()
  const routeId = vehicle.route_id
  useEffect(() => {
    if (!open || !routeId) return
    let wanted = true
    loadCancelled(routeId).then((trips) => wanted && setCancelled(trips)).catch(() => undefined) // then there is nothing to restore here
    return () => {
      wanted = false
    }
  }, [open, routeId, asked])
  if (!signedIn) return null
  const again = () => setAsked((count) => count + 1)
  return (
    <details class="trip" open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{text.title}</summary>
      {open && (
        <div class="trip__tools">
          <Assign vehicle={vehicle} busy={busy} attempt={attempt} />
          <span class="instruct__row">
            <button type="button" class="button button--small" disabled={busy} title={text.releaseHint}
              onClick={() => void attempt(() => assign(vehicle, null), text.released(vehicle.vehicle_id))}>{text.release}</button>
            {vehicle.trip_id && <Cancel tripId={vehicle.trip_id} busy={busy} attempt={attempt} onDone={again} />}
          </span>
          <Cancelled trips={cancelled} busy={busy} attempt={attempt} onDone={again} />
        </div>
      )}
    </details>
  )
}
