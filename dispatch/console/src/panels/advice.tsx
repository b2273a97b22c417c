// What the system advises: the most urgent first, what has been decided below; only for who is signed in.
import type { Advice as Piece, AdviceState } from '../data/deskTypes'
import { setState, useStore } from '../data/store'
import { useMessages } from '../i18n'
import { useSecond } from '../ui/clock'
import { Freshness, Panel } from '../ui/freshness'
import { useHeld } from '../ui/held'
import { AdviceItem } from './adviceItem'

const SHOWN = 60
const RANK: Record<AdviceState, number> = { open: 0, applied: 1, declined: 1, expired: 1, withdrawn: 1 }

/** Open ones by the time that is left to decide, the longer hold first; then the decided ones, the latest first. */
export function byUrgency(advice: Piece[]): Piece[] {
  return [...advice]
    .sort((a, b) =>
      RANK[a.state] - RANK[b.state]
      || (a.state === 'open' ? a.expires_at - b.expires_at || b.hold_s - a.hold_s : (b.decided_at ?? b.expires_at) - (a.decided_at ?? a.expires_at))
      || a.id.localeCompare(b.id))
    .slice(0, SHOWN)
}

export const countOpen = (advice: Piece[] | undefined): number => advice?.filter((one) => one.state === 'open').length ?? 0

/** The way to the other panel of the same place; where there is room for both, the styles leave it out. */
export function OtherDesk({ to, count }: { to: 'alerts' | 'advice'; count: number }) {
  const text = useMessages()
  const there = useStore((state) => state.advice !== null)
  const past = useStore((state) => state.past !== null)
  if (!there) return null
  return (
    <button type="button" class="desk__other" onClick={() => setState({ desk: to })}>
      {to === 'alerts' ? text.alerts : past ? text.desk.past.done : text.desk.advice.title}
      {count > 0 && <span class={to === 'advice' ? 'pill pill--advice' : 'pill'}>{count}</span>}
    </button>
  )
}

export function Advice() {
  useSecond()
  const text = useMessages()
  const message = useStore((state) => state.advice)
  const openAlerts = useStore((state) => state.alerts?.alerts.filter((alert) => alert.state === 'open').length ?? 0)
  const allOff = useStore((state) => state.control?.lines.every((line) => line.mode === 'off') ?? false)
  const { items, handlers } = useHeld(byUrgency(message?.advice ?? []))
  if (!message) return null
  const open = countOpen(message.advice)
  return (
    <Panel id="advice" label={text.desk.advice.title} feed="advice" class="desk">
      <div class="panel__head">
        <h2>{text.desk.advice.title}</h2>
        {open > 0 && <span class="pill pill--advice" title={text.desk.advice.open(open)}>{open}</span>}
        <OtherDesk to="alerts" count={openAlerts} />
        <Freshness feed="advice" />
      </div>
      <p class="sr-only" role="status" aria-live="polite">{text.desk.advice.open(open)}</p>
      {items.length > 0 ? (
        <ul class="desk__list" {...handlers}>{items.map(({ item, gone }) => <AdviceItem key={item.id} advice={item} gone={gone} />)}</ul>
      ) : (
        <p class="empty">{allOff ? text.desk.advice.allOff : text.desk.advice.none}</p>
      )}
    </Panel>
  )
}
