// What needs a person: open alerts first, newest above, each in words, to acknowledge, put aside or close.
import { useState } from 'preact/hooks'
import { acknowledge, closeAlert, selectRoute, selectVehicle, shelve } from '../data/actions'
import { shortId, vehicleKey } from '../data/derive'
import { inForce } from '../data/notices'
import { enterPast } from '../data/playback'
import { getState, setState, useStore } from '../data/store'
import type { Alert, AlertKind } from '../data/types'
import { duration, plan, useFormat, useMessages } from '../i18n'
import type { Messages } from '../i18n/en'
import { useAttempt, type Attempt } from '../ui/attempt'
import { LineBadge, StateMark } from '../ui/badges'
import { serverNow, shownNow, useSecond } from '../ui/clock'
import { Freshness, Panel } from '../ui/freshness'
import { useHeld } from '../ui/held'
import { countOpen, OtherDesk } from './advice'

const SHOWN = 60
const RANK: Record<Alert['state'], number> = { open: 0, acknowledged: 1, shelved: 2, closed: 3 }
const KIND_RANK: Record<AlertKind, number> = { alarm: 0, gapped: 1, bunched: 1, missing: 1, late_departure: 2, silent: 2, off_route: 2 }

function sorted(alerts: Alert[]): Alert[] {
  return [...alerts]
    .sort((a, b) =>
      RANK[a.state] - RANK[b.state]
      || (a.state === 'open' ? Number(a.kind !== 'alarm') - Number(b.kind !== 'alarm') : 0)
      || b.opened_at - a.opened_at
      || KIND_RANK[a.kind] - KIND_RANK[b.kind])
    .slice(0, SHOWN)
}

function sentence(alert: Alert, text: Messages, prefix: string): string {
  const vehicle = shortId(alert.vehicle_id || '?', prefix)
  switch (alert.kind) {
    case 'bunched':
    case 'gapped':
      return text.alertText[alert.kind](vehicle, shortId(alert.leader_id ?? '?', prefix), duration(alert.headway_s), plan(alert.scheduled_headway_s))
    case 'silent':
    case 'late_departure':
      return text.alertText[alert.kind](vehicle, duration(alert.late_s))
    case 'missing':
      return text.alertText.missing(alert.trip_id ?? '?', duration(alert.late_s))
    case 'off_route':
    case 'alarm':
      return text.alertText[alert.kind](vehicle)
    default: // of a newer server: better named than lost
      return vehicle
  }
}

function showOnPage(alert: Alert): void {
  const { fleet } = getState()
  for (const vehicle of fleet.vehicleByKey.values()) {
    if (vehicle.vehicle_id === alert.vehicle_id && (alert.route_id === null || vehicle.route_id === alert.route_id)) {
      selectVehicle(vehicleKey(vehicle))
      setState({ tab: 'ladder' })
      return
    }
  }
  if (alert.route_id) {
    selectRoute(alert.route_id)
    setState({ tab: 'ladder' })
  }
}

const SHELVE_MINUTES = [15, 30, 60]
const REPLAY = { before_s: 300, after_s: 600, lead_s: 60, speed: 10 }

/** Plays how an alert came about: from a minute before it opened. */
function replay(alert: Alert): void {
  const opened = Math.floor(alert.opened_at)
  const to = Math.min(opened + REPLAY.after_s, Math.floor(serverNow()) - 5)
  enterPast({ from: opened - REPLAY.before_s, to, at: opened - REPLAY.lead_s, speed: REPLAY.speed, positionsGone: false })
  if (alert.route_id) selectRoute(alert.route_id)
}

/** Putting aside and closing: asked for by one more press, for neither is what one does all day. */
function More({ alert, busy, attempt, onDone }: { alert: Alert; busy: boolean; attempt: Attempt; onDone: () => void }) {
  const text = useMessages().desk.alerts
  const [reason, setReason] = useState('')
  const act = async (work: () => Promise<void>) => {
    if (await attempt(work)) onDone()
  }
  return (
    <div class="more">
      <span class="more__row">
        <span class="more__label">{text.shelve}</span>
        {SHELVE_MINUTES.map((minutes, index) => (
          <button key={minutes} type="button" class="button button--small" data-key={String(index + 1)} disabled={busy}
            onClick={() => void act(() => shelve(alert, minutes))}>{text.minutes(minutes)}</button>
        ))}
        <button type="button" class="button button--small" data-key="4" title={text.replayHint} onClick={() => replay(alert)}>{text.replay}</button>
      </span>
      <form class="more__row" onSubmit={(event) => {
        event.preventDefault()
        void act(() => closeAlert(alert, reason.trim()))
      }}>
        <input class="input" list="close-reasons" value={reason} required maxLength={200} placeholder={text.reason} aria-label={text.reason}
          onInput={(event) => setReason(event.currentTarget.value)} />
        <datalist id="close-reasons">{text.reasons.map((one) => <option key={one} value={one} />)}</datalist>
        <button type="submit" class="button button--small" disabled={busy || !reason.trim()}>{text.close}</button>
      </form>
    </div>
  )
}

/** Who did what and when, in one line. */
function Fate({ alert }: { alert: Alert }) {
  const text = useMessages()
  const { time } = useFormat()
  const closedAt = time(alert.closed_at ?? alert.updated_at)
  switch (alert.state) {
    case 'acknowledged':
      return <span class="alert__done">{text.acknowledgedBy(alert.acknowledged_by ?? '?', time(alert.acknowledged_at ?? alert.updated_at))}</span>
    case 'shelved':
      return <span class="alert__done">{text.shelvedBy(alert.shelved_by ?? '?', time(alert.shelved_until ?? alert.updated_at))}</span>
    case 'closed':
      return <span class="alert__done">{alert.closed_by ? text.closedBy(alert.closed_by, closedAt, alert.close_reason ?? '') : text.closedAt(closedAt)}</span>
    default:
      return null
  }
}

function Item({ alert, gone }: { alert: Alert; gone: boolean }) {
  const text = useMessages()
  const route = useStore((state) => (alert.route_id ? state.routes.get(alert.route_id) : undefined))
  const stop = useStore((state) => (alert.stop_id ? state.stopNames.get(alert.stop_id) : undefined))
  const signedIn = useStore((state) => state.session !== null)
  const prefix = useStore((state) => state.fleet.prefix)
  const inThePast = useStore((state) => state.past !== null)
  const [more, setMore] = useState(false)
  const { busy, attempt } = useAttempt()
  const direction = route?.directions.find((one) => one.direction_id === alert.direction_id)
  const tone = alert.kind === 'bunched' || alert.kind === 'gapped' ? alert.kind : 'alarm'
  // In the past there is nothing to press: whatever one pressed would be done now.
  const living = alert.state !== 'closed' && !gone && !inThePast
  const confirm = () => (signedIn ? void attempt(() => acknowledge(alert)) : setState({ dialog: 'login' }))

  return (
    <li class={`alert alert--${alert.state} edge-${tone}`} data-alert={alert.id} data-state={alert.state} data-item>
      <button type="button" class="alert__what" onClick={() => showOnPage(alert)}>
        <span class="alert__top">
          {alert.route_id && <LineBadge route={route} routeId={alert.route_id} />}
          <b class={`alert__kind tone-${tone}`}>
            {tone !== 'alarm' && <StateMark state={tone} />}
            {text.alertKinds[alert.kind] ?? alert.kind}
          </b>
          <span class="alert__age">{text.forAge(duration(Math.max(0, shownNow() - alert.opened_at)))}</span>
          {direction && <span class="alert__where">{text.toward(direction.headsign)}</span>}
        </span>
        <span class="alert__text">{sentence(alert, text, prefix)}{stop ? `, ${text.at(stop)}` : ''}</span>
      </button>
      <span class="alert__act">
        <Fate alert={alert} />
        {alert.state === 'open' && living && (
          <button type="button" class="button button--small" data-key="y" disabled={busy} onClick={confirm}
            title={signedIn ? `${text.acknowledge} (Y)` : text.signInFirst}>{text.acknowledge}</button>
        )}
        {signedIn && living && (
          <button type="button" class="button button--small button--icon alert__more" data-key="n" aria-expanded={more} aria-label={text.desk.alerts.more}
            title={`${text.desk.alerts.more} (N)`} onClick={() => setMore(!more)}>⋯</button>
        )}
      </span>
      {more && signedIn && living && <More alert={alert} busy={busy} attempt={attempt} onDone={() => setMore(false)} />}
    </li>
  )
}

/** To the notices to passengers, where this server has them. */
function NoticesButton() {
  const text = useMessages().desk.notices
  const count = useStore((state) => (state.notices ? inForce(state.notices, serverNow()).length : -1))
  if (count < 0) return null
  return (
    <button type="button" class="button button--small alerts__notices" title={text.title} onClick={() => setState({ dialog: 'notices' })}>
      <svg width="14" height="14" viewBox="0 0 14 14" aria-hidden="true">
        <path d="M2 5.2h2.4L11 2v9.6L4.4 8.6H2zM4.6 8.8l.9 3.4h1.8L6.6 9.6" fill="none" stroke="currentColor" stroke-width="1.3" stroke-linejoin="round" />
      </svg>
      <span class="alerts__noticesWord">{text.button}</span>
      {count > 0 && <b>{count}</b>}
    </button>
  )
}

export function Alerts() {
  useSecond()
  const text = useMessages()
  const alerts = useStore((state) => (state.past ? state.past.alerts : state.alerts?.alerts))
  const openAdvice = useStore((state) => (state.past ? state.past.decisions.length : countOpen(state.advice?.advice)))
  const inThePast = useStore((state) => state.past !== null)
  // An alert opens only when its cause has lasted, so at first there is nothing here beside figures that are not quiet.
  const watched = useStore((state) => state.fleet.kpis.bunched + state.fleet.kpis.gapped)
  const { items, handlers } = useHeld(sorted(alerts ?? []))
  const open = alerts?.filter((alert) => alert.state === 'open').length ?? 0
  return (
    <Panel id="alerts" label={text.alerts} feed="alerts" class="desk">
      <div class="panel__head">
        <h2>{text.alerts}</h2>
        {open > 0 && <span class="pill" title={text.openAlerts(open)}>{open}</span>}
        <OtherDesk to="advice" count={openAdvice} />
        {!inThePast && <NoticesButton />}
        <Freshness feed="alerts" />
      </div>
      <p class="sr-only" role="status" aria-live="polite">{text.openAlerts(open)}</p>
      {items.length > 0 ? (
        <ul class="desk__list" {...handlers}>{items.map(({ item, gone }) => <Item key={item.id} alert={item} gone={gone} />)}</ul>
      ) : (
        <p class="empty">{inThePast ? text.desk.past.noAlerts : !alerts ? text.noData : watched > 0 ? text.watching(watched) : text.noAlerts}</p>
      )}
    </Panel>
  )
}
