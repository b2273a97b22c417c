// "Last update n s ago", and a panel that shows when its data has grown old.
import type { ComponentChildren } from 'preact'
import { useStore, type Feed } from '../data/store'
import { useFormat, useMessages } from '../i18n'
import { useSecond } from './clock'

export const STALE_S = 5

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
  if (age === null) return <span class="fresh">{text.noData}</span>
  const seconds = integer(Math.floor(age))
  return age > STALE_S ? (
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
  const stale = age !== null && age > STALE_S
  return (
    <section id={id} class={`panel ${extra}`} aria-label={label} data-stale={stale ? 'true' : 'false'}>
      {children}
    </section>
  )
}
