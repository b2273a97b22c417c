// The list of lines, worst first, which never moves under the dispatcher's hand.
import { useEffect, useRef, useState } from 'preact/hooks'
import { selectRoute } from '../data/actions'
import { severity, type LineSummary } from '../data/derive'
import { setState, useStore } from '../data/store'
import type { Route } from '../data/types'
import { duration, plan, useFormat, useMessages } from '../i18n'
import { LineBadge, RatioBar, StateCount } from '../ui/badges'
import { Freshness, Panel } from '../ui/freshness'
import { ModeTag } from './controlBar'

type Sort = 'worst' | 'name' | 'vehicles'
const RESORT_MS = 5_000

const EMPTY: LineSummary = { routeId: '', vehicles: 0, bunched: 0, gapped: 0, worst: null }
const byName = (a: Route, b: Route) => a.short_name.localeCompare(b.short_name, 'uk', { numeric: true })

function ordered(routes: Map<string, Route>, lines: Map<string, LineSummary>, sort: Sort): string[] {
  const of = (route: Route) => lines.get(route.route_id) ?? EMPTY
  const worst = (route: Route) => {
    const headway = of(route).worst
    return headway ? severity(headway) : -1
  }
  const list = [...routes.values()].sort(byName)
  // Lines that run come first in every order: the others have nothing to show.
  const running = (route: Route) => (of(route).vehicles > 0 ? 1 : 0)
  if (sort === 'worst') list.sort((a, b) => running(b) - running(a) || worst(b) - worst(a))
  else if (sort === 'vehicles') list.sort((a, b) => of(b).vehicles - of(a).vehicles)
  else list.sort((a, b) => running(b) - running(a))
  return list.map((route) => route.route_id)
}

/**
 * The order of the list: made when the first headways come, then every few seconds, but not while the pointer or the
 * focus is in it. Vehicles come before their headways, so an order by the worst of them would be one by name till then.
 * That first time only the focus holds it, which a row that is moved would lose.
 */
function useOrder(sort: Sort, held: { pointer: boolean; focus: boolean }): string[] {
  const routes = useStore((state) => state.routes)
  const lines = useStore((state) => state.fleet.lines)
  const made = useRef({ at: -RESORT_MS, sort, routes, order: [] as string[], live: false })
  const now = performance.now()
  const live = made.current.live || [...lines.values()].some((line) => line.worst !== null)
  const due = !held.pointer && !held.focus && now - made.current.at >= RESORT_MS
  if (due || (made.current.live !== live && !held.focus) || made.current.sort !== sort || made.current.routes !== routes) {
    made.current = { at: now, sort, routes, order: ordered(routes, lines, sort), live }
  }
  return made.current.order
}

function matches(route: Route, search: string): boolean {
  const words = `${route.short_name} ${route.long_name} ${route.directions.map((d) => d.headsign).join(' ')}`.toLocaleLowerCase()
  return search.toLocaleLowerCase().split(/\s+/).every((word) => words.includes(word))
}

function Row({ route, summary, selected, first }: { route: Route; summary: LineSummary; selected: boolean; first: boolean }) {
  const text = useMessages()
  const { integer } = useFormat()
  const { worst } = summary
  const mode = useStore((state) => state.past ? 'off' : state.control?.lines.find((line) => line.route_id === route.route_id)?.mode ?? 'off')
  return (
    <li>
      <button type="button" class={`line ${selected ? 'line--selected' : ''} ${summary.vehicles ? '' : 'line--idle'}`}
        data-route={route.route_id} aria-current={selected ? 'true' : undefined} tabIndex={selected || first ? 0 : -1}
        onClick={() => {
          selectRoute(selected ? null : route.route_id)
          if (!selected) setState({ tab: 'ladder' })
        }}>
        <LineBadge route={route} routeId={route.route_id} />
        <span class="line__name" title={route.long_name}>{route.long_name || route.directions[0]?.headsign}</span>
        <span class={`line__worst ${worst ? `tone-${worst.state}` : ''}`}
          title={worst ? text.worst(duration(worst.headway_s), plan(worst.scheduled_headway_s)) : undefined}>
          {worst ? <><b>{duration(worst.headway_s)}</b> / {plan(worst.scheduled_headway_s)}</> : '–'}
        </span>
        <span class="line__vehicles" title={text.vehicles(summary.vehicles)}>
          <svg width="11" height="11" viewBox="0 0 11 11" aria-hidden="true"><path d="M5.5.6 10 10.2 5.5 8 1 10.2z" fill="currentColor" /></svg>
          {integer(summary.vehicles)}
        </span>
        <span class="line__counts">
          <StateCount state="bunched" count={summary.bunched} />
          <StateCount state="gapped" count={summary.gapped} />
          <ModeTag mode={mode} />
        </span>
        <RatioBar ratio={worst?.ratio ?? null} state={worst?.state ?? 'unknown'} />
      </button>
    </li>
  )
}

export function Lines() {
  const text = useMessages()
  const routes = useStore((state) => state.routes)
  const lines = useStore((state) => state.fleet.lines)
  const search = useStore((state) => state.search)
  const selectedRoute = useStore((state) => state.selectedRoute)
  const [sort, setSort] = useState<Sort>('worst')
  const [held, setHeld] = useState({ pointer: false, focus: false })
  const list = useRef<HTMLUListElement>(null)
  const order = useOrder(sort, held)
  const shown = order.map((id) => routes.get(id)).filter((route): route is Route => route !== undefined && matches(route, search))

  useEffect(() => {
    list.current?.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest' })
  }, [selectedRoute])

  return (
    <Panel id="lines" label={text.lines} feed="headways" class="lines">
      <div class="panel__head">
        <h2>{text.lines}</h2>
        <Freshness feed="headways" />
      </div>
      <div class="lines__tools">
        <input type="search" id="search" class="input" value={search} placeholder={text.searchLines} aria-label={text.searchLines}
          autocomplete="off" spellcheck={false} onInput={(event) => setState({ search: event.currentTarget.value })} />
        <select class="input" aria-label={text.sortBy} title={text.sortBy} value={sort} onChange={(event) => setSort(event.currentTarget.value as Sort)}>
          <option value="worst">{text.sort.worst}</option>
          <option value="name">{text.sort.name}</option>
          <option value="vehicles">{text.sort.vehicles}</option>
        </select>
      </div>
      <ul class="lines__list" ref={list}
        onPointerEnter={() => setHeld((now) => ({ ...now, pointer: true }))}
        onPointerLeave={() => setHeld((now) => ({ ...now, pointer: false }))}
        onFocusIn={() => setHeld((now) => ({ ...now, focus: true }))}
        onFocusOut={() => setHeld((now) => ({ ...now, focus: false }))}>
        {shown.map((route, index) => (
          <Row key={route.route_id} route={route} summary={lines.get(route.route_id) ?? EMPTY}
            selected={route.route_id === selectedRoute} first={index === 0} />
        ))}
      </ul>
      {shown.length === 0 && routes.size > 0 && <p class="empty">{text.noLines}</p>}
    </Panel>
  )
}
