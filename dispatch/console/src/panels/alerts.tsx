// What needs a person: open alerts first, newest above, each in words, with one button.
import { useState } from 'preact/hooks'
import { acknowledge, selectRoute, selectVehicle } from '../data/actions'
import { shortId, vehicleKey } from '../data/derive'
import { getState, setState, useStore } from '../data/store'
import type { Alert, AlertKind } from '../data/types'
import { duration, plan, useFormat, useMessages } from '../i18n'
import type { Messages } from '../i18n/en'
import { LineBadge, StateMark } from '../ui/badges'
import { serverNow, useSecond } from '../ui/clock'
import { Freshness, Panel } from '../ui/freshness'

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

function Item({ alert }: { alert: Alert }) {
  const text = useMessages()
  const { time } = useFormat()
  const route = useStore((state) => (alert.route_id ? state.routes.get(alert.route_id) : undefined))
  const stop = useStore((state) => (alert.stop_id ? state.stopNames.get(alert.stop_id) : undefined))
  const signedIn = useStore((state) => state.session !== null)
  const prefix = useStore((state) => state.fleet.prefix)
  const [busy, setBusy] = useState(false)
  const direction = route?.directions.find((one) => one.direction_id === alert.direction_id)
  const tone = alert.kind === 'bunched' || alert.kind === 'gapped' ? alert.kind : 'alarm'

  const confirm = async () => {
    if (!signedIn) return setState({ dialog: 'login' })
    setBusy(true)
    try {
      await acknowledge(alert)
    } catch (error) {
      setState({ notice: text.failed(error instanceof Error ? error.message : '') })
    } finally {
      setBusy(false)
    }
  }

  return (
    <li class={`alert alert--${alert.state} edge-${tone}`} data-alert={alert.id} data-state={alert.state}>
      <button type="button" class="alert__what" onClick={() => showOnPage(alert)}>
        <span class="alert__top">
          {alert.route_id && <LineBadge route={route} routeId={alert.route_id} />}
          <b class={`alert__kind tone-${tone}`}>
            {tone !== 'alarm' && <StateMark state={tone} />}
            {text.alertKinds[alert.kind] ?? alert.kind}
          </b>
          <span class="alert__age">{text.forAge(duration(serverNow() - alert.opened_at))}</span>
          {direction && <span class="alert__where">{text.toward(direction.headsign)}</span>}
        </span>
        <span class="alert__text">{sentence(alert, text, prefix)}{stop ? `, ${text.at(stop)}` : ''}</span>
      </button>
      <span class="alert__act">
        {alert.state === 'open' && (
          <button type="button" class="button button--small" disabled={busy} onClick={() => void confirm()}
            title={signedIn ? text.acknowledge : text.signInFirst}>{text.acknowledge}</button>
        )}
        {alert.state === 'acknowledged' && (
          <span class="alert__done">{text.acknowledgedBy(alert.acknowledged_by ?? '?', time(alert.acknowledged_at ?? alert.updated_at))}</span>
        )}
        {alert.state === 'shelved' && (
          <span class="alert__done">{text.shelvedBy(alert.shelved_by ?? '?', time(alert.shelved_until ?? alert.updated_at))}</span>
        )}
        {alert.state === 'closed' && <span class="alert__done">{text.closedAt(time(alert.closed_at ?? alert.updated_at))}</span>}
      </span>
    </li>
  )
}

export function Alerts() {
  useSecond()
  const text = useMessages()
  const alerts = useStore((state) => state.alerts?.alerts)
  // An alert opens only when its cause has lasted, so at first there is nothing here beside figures that are not quiet.
  const watched = useStore((state) => state.fleet.kpis.bunched + state.fleet.kpis.gapped)
  const open = alerts?.filter((alert) => alert.state === 'open').length ?? 0
  return (
    <Panel id="alerts" label={text.alerts} feed="alerts" class="alerts">
      <div class="panel__head">
        <h2>{text.alerts}</h2>
        {open > 0 && <span class="pill" title={text.openAlerts(open)}>{open}</span>}
        <Freshness feed="alerts" />
      </div>
      <p class="sr-only" role="status" aria-live="polite">{text.openAlerts(open)}</p>
      {alerts && alerts.length > 0 ? (
        <ul class="alerts__list">{sorted(alerts).map((alert) => <Item key={alert.id} alert={alert} />)}</ul>
      ) : (
        <p class="empty">{!alerts ? text.noData : watched > 0 ? text.watching(watched) : text.noAlerts}</p>
      )}
    </Panel>
  )
}
