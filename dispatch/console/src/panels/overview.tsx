// All lines at a glance: each direction of a line as a thin strip with its vehicles at their places.
import { selectRoute } from '../data/actions'
import { vehicleKey } from '../data/derive'
import { setState, useStore } from '../data/store'
import type { HeadwayState, Route, Vehicle } from '../data/types'
import { useMessages } from '../i18n'
import { LineBadge } from '../ui/badges'

const SHOWN = 40 // strips; past that the list of lines serves better

interface Dot {
  key: string
  share: number
  state: HeadwayState
}

function Strip({ dots, back }: { dots: Dot[]; back: boolean }) {
  return (
    <span class={`strip ${back ? 'strip--back' : ''}`}>
      {dots.map((dot) => (
        <i key={dot.key} class={`dot dot--${dot.state}`} style={{ left: `${(back ? 1 - dot.share : dot.share) * 100}%` }} />
      ))}
    </span>
  )
}

function place(vehicle: Vehicle, route: Route): number | null {
  const length = route.directions.find((one) => one.direction_id === vehicle.direction_id)?.length_m
  if (!length || vehicle.distance_m === null || vehicle.state !== 'on_trip') return null
  return Math.min(1, Math.max(0, vehicle.distance_m / length))
}

export function Overview() {
  const text = useMessages()
  const routes = useStore((state) => state.routes)
  const fleet = useStore((state) => state.fleet)
  const dots = new Map<string, [Dot[], Dot[]]>()
  for (const [key, vehicle] of fleet.vehicleByKey) {
    const route = vehicle.route_id ? routes.get(vehicle.route_id) : undefined
    const share = route ? place(vehicle, route) : null
    if (!route || share === null) continue
    let both = dots.get(route.route_id)
    if (!both) dots.set(route.route_id, (both = [[], []]))
    both[vehicle.direction_id === 1 ? 1 : 0].push({ key: vehicleKey(vehicle), share, state: fleet.headwayByKey.get(key)?.state ?? 'unknown' })
  }
  const shown = [...routes.values()]
    .filter((route) => dots.has(route.route_id))
    .sort((a, b) => a.short_name.localeCompare(b.short_name, 'uk', { numeric: true }))
    .slice(0, SHOWN)
  return (
    <>
      <p class="overview__hint">{text.overviewHint}</p>
      <ul class="overview">
        {shown.map((route) => {
          const [there, back] = dots.get(route.route_id) ?? [[], []]
          return (
            <li key={route.route_id}>
              <button type="button" class="overview__line" onClick={() => {
                selectRoute(route.route_id)
                setState({ tab: 'ladder' })
              }} aria-label={text.ladderOf(route.short_name)}>
                <LineBadge route={route} routeId={route.route_id} />
                <span class="overview__strips">
                  <Strip dots={there} back={false} />
                  <Strip dots={back} back />
                </span>
              </button>
            </li>
          )
        })}
      </ul>
    </>
  )
}
