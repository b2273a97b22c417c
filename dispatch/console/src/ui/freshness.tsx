// "Last update n s ago", and a panel that shows when its data has grown old.
import type { ComponentChildren } from 'preact'
import { useStore, type Feed, type State } from '../data/store'
import { useFormat, useMessages } from '../i18n'
import { useSecond } from './clock'

export const STALE_S = 5
// Advice comes with the stream, but where that holds it back it is asked for every few seconds only.
const LIMIT_S: Partial<Record<Feed, number>> = { advice: 12, instructions: 12, control: 15 }
// These show the past while it is played; the others are about now and are not shown then.
const OF_THE_PAST: Feed[] = ['vehicles', 'headways', 'line', 'alerts', 'advice']

const isPast = (feed: Feed) => (state: State) => state.past !== null && OF_THE_PAST.includes(feed)
const limitOf = (feed: Feed) => LIMIT_S[feed] ?? STALE_S

/** Seconds since the feed last moved on; null before it ever did. */
export function useAge(feed: Feed): number | null {
  const now = useSecond()
  const freshAt = useStore((state) => state.freshAt[feed])
  return freshAt === 0 ? null : Math.max(0, (now - freshAt) / 1000)
}

export function Freshness({ feed }: { feed: Feed }) {
  const text = useMessages()
  const { integer } = useFormat()
  const age = useAge(feed)
  const past = useStore(isPast(feed))
  if (past) return <span class="fresh fresh--past">{text.desk.past.badge}</span>
  if (age === null) return <span class="fresh">{text.noData}</span>
  const seconds = integer(Math.floor(age))
  return age > limitOf(feed) ? (
    <span class="fresh fresh--stale">{text.stale(seconds)}</span>
  ) : (
    <span class="fresh" title={text.updated(seconds)}>{text.ago(seconds)}</span>
  )
}

interface PanelProps {
  id: string
  label: string
  feed: Feed
  class?: string
  children: ComponentChildren
}

export function Panel({ id, label, feed, class: extra = '', children }: PanelProps) {
  const age = useAge(feed)
  const past = useStore(isPast(feed))
  const stale = age !== null && age > limitOf(feed) && !past
  return (
    <section id={id} class={`panel ${extra}`} aria-label={label} data-stale={stale ? 'true' : 'false'} data-past={past ? 'true' : undefined}>
      {children}
    </section>
  )
}
