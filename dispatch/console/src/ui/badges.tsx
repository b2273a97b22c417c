// Small marks used everywhere: the line's badge, the headway's state, how far a headway is from its plan.
import type { HeadwayState, Route } from '../data/types'
import { colorOf, modeOf } from '../data/modes'
import { useMessages } from '../i18n'

/** White where it can be read on the colour (4.5 to 1, WCAG AA), else near black, which then can. */
export function inkOn(hex: string): string {
  const value = Number.parseInt(hex, 16)
  const channel = (shift: number) => {
    const part = ((value >> shift) & 255) / 255
    return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
  }
  const luminance = 0.2126 * channel(16) + 0.7152 * channel(8) + 0.0722 * channel(0)
  return 1.05 / (luminance + 0.05) >= 4.5 ? '#ffffff' : '#06090c'
}

export function LineBadge({ route, routeId }: { route: Route | undefined; routeId: string }) {
  const text = useMessages()
  const color = route ? colorOf(route.color, route.route_type) : ''
  const mode = modeOf(route?.route_type ?? -1)
  // The feed's own text colour is often unreadable on its own colour, so it is not asked.
  const style = color ? { background: `#${color}`, color: inkOn(color) } : {}
  return <span class={`badge badge--${mode}`} style={style} title={`${text.modes[mode]} ${route?.short_name ?? routeId}`}>{route?.short_name || routeId}</span>
}

// The mark is the state itself: two vehicles as bars, near each other or far apart; the middle is the plan.
const BAR_GAP: Record<HeadwayState, number> = { bunched: 3, short: 5.5, regular: 8, long: 10.5, gapped: 13, unknown: 8 }

export function StateMark({ state }: { state: HeadwayState }) {
  const half = BAR_GAP[state] / 2
  return (
    <svg class={`mark mark--${state}`} width="18" height="12" viewBox="0 0 18 12" aria-hidden="true">
      <path d={`M${9 - half} 1v10M${9 + half} 1v10`} />
      {state === 'gapped' && <path d="M6 6h6" class="mark__thin" stroke-dasharray="2 2" />}
      {state === 'unknown' && <circle cx="9" cy="6" r="1" />}
    </svg>
  )
}

export function StateCount({ state, count }: { state: 'bunched' | 'gapped'; count: number }) {
  const text = useMessages()
  return (
    <span class={`count ${count > 0 ? `tone-${state}` : 'count--none'}`} title={`${text.states[state]}: ${count}`}>
      <StateMark state={state} />
      <span aria-hidden="true">{count}</span>
      <span class="sr-only">{`${text.states[state]}: ${count}`}</span>
    </span>
  )
}

/** The headway as a share of its plan: the middle is the plan, left is too close, right too far. */
export function RatioBar({ ratio, state }: { ratio: number | null; state: HeadwayState }) {
  const clamped = ratio === null ? 1 : Math.min(2, Math.max(0, ratio))
  const left = Math.min(clamped, 1) * 50
  const width = Math.abs(clamped - 1) * 50
  return (
    <span class="ratio" aria-hidden="true">
      <span class={`ratio__fill fill-${state}`} style={{ left: `${left}%`, width: `${width}%` }} />
    </span>
  )
}
