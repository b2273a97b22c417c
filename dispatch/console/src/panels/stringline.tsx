// Time and distance of one line: what was driven over what was planned. Lines that meet are a bunch, white is a gap.
import { useMemo } from 'preact/hooks'
import { selectVehicle } from '../data/actions'
import { shortId, vehicleKey } from '../data/derive'
import { AHEAD_S, BACK_S, useStringline, type StringlineDirection } from '../data/stringline'
import { setState, useStore } from '../data/store'
import type { HeadwayState, LineDirection } from '../data/types'
import { useFormat, useMessages } from '../i18n'
import { shownNow, useSecond } from '../ui/clock'
import { useSize } from '../ui/size'
import { commonWords, fitName, measureIn } from './fit'
import { markStops, yAt, type Scale } from './ladderLayout'

const NAMES_PX = 92
const HEAD_PX = 24
const AXIS_PX = 18
const LEAST_PX = 190
const TICK_S = 600
const TAIL_S = 900 // a vehicle that has left no stop for longer stands for itself
const LOUD: HeadwayState[] = ['bunched', 'short', 'long', 'gapped']
const NAME = measureIn('450 10.5px "Inter Variable", system-ui, sans-serif')

interface Box {
  from: number
  /** Pixels from the left for an instant. */
  x: (at: number) => number
  scale: Scale
}

type Pair = readonly [number, number]

const pathOf = (points: Pair[], { x, scale }: Box): string =>
  points.map(([at, place], index) => `${index ? 'L' : 'M'}${x(at).toFixed(1)} ${yAt(scale, place).toFixed(1)}`).join('')

interface Drawn {
  planned: string
  /** One path for each state, and one for each run to point at. */
  byState: Map<HeadwayState, string>
  runs: { key: string; vehicleId: string; tripId: string; path: string; last: Pair }[]
}

/** All paths of a direction; made anew when other rows have come or the box has another size, not with each second. */
function draw(direction: StringlineDirection, box: Box, until: number): Drawn {
  const byState = new Map<HeadwayState, string>()
  const runs: Drawn['runs'] = []
  for (const run of direction.driven) {
    let path = ''
    let last: Pair | null = null
    for (const piece of run.pieces) {
      const known = piece.filter(([at]) => at <= until)
      if (known.length < 2) continue
      path += pathOf(known.map(([at, place]) => [at, place] as const), box)
      known.forEach(([at, place], index) => {
        const before = known[index - 1]
        // A headway is measured on leaving a stop, so it colours the way to the next.
        const left = before?.[2]
        if (before && left && LOUD.includes(left)) byState.set(left, (byState.get(left) ?? '') + pathOf([[before[0], before[1]], [at, place]], box))
        last = [at, place]
      })
    }
    if (last) runs.push({ key: vehicleKey(run), vehicleId: run.vehicle_id, tripId: run.trip_id, path, last })
  }
  return { planned: direction.planned.map((run) => pathOf(run.points, box)).join(''), byState, runs }
}

interface ChartProps {
  direction: StringlineDirection
  live: LineDirection | undefined
  width: number
  height: number
  now: number
  upward: boolean
}

function Chart({ direction, live, width, height, now, upward }: ChartProps) {
  const text = useMessages()
  const { time } = useFormat()
  const past = useStore((state) => state.past !== null)
  const marked = useStore((state) => state.hoveredVehicle ?? state.selectedVehicle)
  const prefix = useStore((state) => state.fleet.prefix)
  // The frame moves on by ten seconds at a time: a pixel or two, and nothing is drawn anew in between.
  const from = Math.floor(now / 10) * 10 - BACK_S
  const span = BACK_S + AHEAD_S
  const scale: Scale = { height: height - AXIS_PX, pad: 8, lengthM: direction.length_m, upward }
  const x = (at: number) => NAMES_PX + ((at - from) / span) * (width - NAMES_PX)
  const box: Box = { from, x, scale }
  const until = past ? now : Infinity
  const drawn = useMemo(() => draw(direction, box, until), [direction, from, width, height, upward, past ? until : 0])
  const stops = useMemo(() => markStops(direction, scale, 15), [direction, height, upward])
  const common = useMemo(() => commonWords(direction.stops.map((stop) => stop.name)), [direction])
  const places = new Map(live?.vehicles.filter((one) => one.line_m !== null).map((one) => [`${vehicleKey(one)} ${one.trip_id}`, one]))
  // A vehicle may have driven here several times in the hour; only its newest run goes on to where it is now.
  const newest = new Map(drawn.runs.map((run) => [run.key, run]))
  const tails = [...newest.values()].flatMap((run) => {
    const vehicle = places.get(`${run.key} ${run.tripId}`)
    return vehicle && vehicle.line_m !== null && vehicle.line_m >= run.last[1] && now - run.last[0] < TAIL_S
      ? [{ key: run.key, state: vehicle.headway_state ?? 'unknown', from: run.last, to: [now, vehicle.line_m] as const }] : []
  })
  const first = Math.ceil(from / TICK_S) * TICK_S
  const ticks = Array.from({ length: Math.floor((from + span - first) / TICK_S) + 1 }, (_, index) => first + index * TICK_S)
  const clip = `strings-${direction.direction_id}`
  return (
    <svg class="strings" width={width} height={height} role="img" aria-label={text.strings.label(direction.headsign, drawn.runs.length)}>
      <clipPath id={clip}><rect x={NAMES_PX} y="0" width={width - NAMES_PX} height={height - AXIS_PX} /></clipPath>
      {stops.map(({ stop, y, named }) => (
        <g key={`${stop.stop_id} ${stop.distance_m}`}>
          <path class={named ? 'strings__stop strings__stop--named' : 'strings__stop'} d={`M${NAMES_PX} ${y}H${width}`} />
          {named && <text class="strings__name" x={NAMES_PX - 6} y={y + 3.5} text-anchor="end">{fitName(stop.name, common, NAMES_PX - 8, NAME)}</text>}
        </g>
      ))}
      {ticks.map((at) => (
        <g key={at}>
          <path class="strings__tick" d={`M${x(at)} 0V${height - AXIS_PX}`} />
          {x(at) > NAMES_PX + 12 && x(at) < width - 14 && <text class="strings__time" x={x(at)} y={height - 5} text-anchor="middle">{time(at)}</text>}
        </g>
      ))}
      <g clip-path={`url(#${clip})`}>
        <path class="strings__planned" d={drawn.planned} />
        {drawn.runs.map((run) => <path key={`${run.key} ${run.last[0]}`} class="strings__run" d={run.path} />)}
        {LOUD.map((state) => <path key={state} class={`strings__loud strings__loud--${state}`} d={drawn.byState.get(state) ?? ''} />)}
        {tails.map((tail) => <path key={tail.key} class={`strings__tail strings__loud--${tail.state}`} d={pathOf([tail.from, tail.to], box)} />)}
        {marked && drawn.runs.filter((run) => run.key === marked).map((run) => <path key={`mark ${run.last[0]}`} class="strings__marked" d={run.path} />)}
        {drawn.runs.map((run) => (
          <path key={`hit ${run.key} ${run.last[0]}`} class="strings__hit" d={run.path} data-vehicle={run.key} onClick={() => selectVehicle(run.key)}
            onPointerEnter={() => setState({ hoveredVehicle: run.key })} onPointerLeave={() => setState({ hoveredVehicle: null })}>
            <title>{run.vehicleId}</title>
          </path>
        ))}
        <rect class="strings__ahead" x={x(now)} y="0" width={Math.max(0, width - x(now))} height={height - AXIS_PX} />
        <path class="strings__now" d={`M${x(now)} 0V${height - AXIS_PX}`} />
        {tails.map((tail) => (
          <g key={`cab ${tail.key}`} class={`strings__cab tone-${tail.state}`}>
            <circle cx={x(tail.to[0])} cy={yAt(scale, tail.to[1])} r={tail.key === marked ? 5 : 3.2} />
            {(tail.key === marked || tail.state === 'bunched' || tail.state === 'gapped') && (
              <text x={x(tail.to[0]) + 7} y={yAt(scale, tail.to[1]) + 4}>{shortId(tail.key.split('/').at(-1) ?? '', prefix)}</text>
            )}
          </g>
        ))}
      </g>
    </svg>
  )
}

/** Both directions, one above the other, so that the same time stands at the same place. */
export function Stringlines({ routeId, directions }: { routeId: string; directions: LineDirection[] }) {
  useSecond()
  const text = useMessages()
  const answer = useStringline(routeId)
  const { element, width, height } = useSize<HTMLDivElement>()
  const shown = answer !== null && typeof answer !== 'string' && answer.route_id === routeId ? answer.directions : []
  const each = Math.max(LEAST_PX, Math.floor(height / Math.max(1, shown.length)) - HEAD_PX)
  return (
    <div class="ladder__body strings__body" ref={element}>
      {typeof answer === 'string' ? <p class="empty">{text.failed(answer)}</p> : shown.length === 0 && <p class="empty">{text.noData}</p>}
      {width > 0 && shown.map((direction, index) => (
        <div key={direction.direction_id}>
          <h3 class="strings__head" style={{ height: `${HEAD_PX}px` }}>
            <span aria-hidden="true">{index % 2 === 1 ? '↑ ' : '↓ '}</span>{direction.headsign || text.direction(direction.direction_id)}
          </h3>
          <Chart direction={direction} live={directions.find((one) => one.direction_id === direction.direction_id)} width={width} height={each}
            now={shownNow()} upward={index % 2 === 1} />
        </div>
      ))}
    </div>
  )
}
