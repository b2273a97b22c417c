// The ladder of one line: both directions to scale, each vehicle at its place with its leader and its gap against plan.
import { selectRoute, selectVehicle } from '../data/actions'
import { commonPrefix, punctuality, shortId, STATES, vehicleKey } from '../data/derive'
import { setState, useStore, type State } from '../data/store'
import type { LineDirection, LineVehicle } from '../data/types'
import { duration, plan, signed, signedMinutes, useMessages } from '../i18n'
import type { Messages } from '../i18n/en'
import { LineBadge, StateMark } from '../ui/badges'
import { Freshness, Panel } from '../ui/freshness'
import { useSize } from '../ui/size'
import { ControlBar } from './controlBar'
import { DeskMark, useDeskMarks, type Marks } from './deskMarks'
import { commonWords, elide, fitName, fitPair, measureIn, type Measure } from './fit'
import { gapsBetween, markStops, placeVehicles, plannedHeadway, type Placed, type Scale } from './ladderLayout'
import { Overview } from './overview'
import { Stringlines } from './stringline'

const ROOMY_PX = 35 // a label of two lines
const TIGHT_PX = 22 // a label of one line
const NAME_PX = 15
const SCREENS_MAX = 1.6 // labels keep two lines as long as the strip is no longer than so many screens
const SIDE_BY_SIDE_PX = 400
const CROWDED_PX = 145 // narrower labels have no room for both the plan and what is advised
// The fonts of ladder.css, and what surrounds the texts in a label: borders, padding and the gaps between.
const FAMILY = "'Inter Variable', system-ui, sans-serif"
const MEASURES = {
  name: measureIn(`400 10.5px ${FAMILY}`),
  id: { roomy: measureIn(`680 11.5px ${FAMILY}`), tight: measureIn(`680 11px ${FAMILY}`) },
  leader: measureIn(`400 10.5px ${FAMILY}`),
  time: { roomy: measureIn(`560 11px ${FAMILY}`), tight: measureIn(`560 10.5px ${FAMILY}`) },
  gap: measureIn(`680 11px ${FAMILY}`),
}
const AROUND_PX = { roomy: 22, tight: 20 }

/** The ids of a vehicle and of its leader and the deviation, as they fit into the first line of a label. */
function fitTop(id: string, leader: string, deviationS: number | null, width: number): { id: string; leader: string; time: string } {
  const withMark: Measure = (text) => (text ? MEASURES.leader(`›${text}`) : 0)
  const left = (time: string) => width - AROUND_PX.roomy - MEASURES.time.roomy(time)
  let time = signed(deviationS)
  // Where long ids ask for room, whole minutes will do: the vehicle's card has the seconds.
  if (MEASURES.id.roomy(id) + withMark(leader) > left(time)) time = signedMinutes(deviationS)
  const [first, second] = fitPair([id, leader], left(time), [MEASURES.id.roomy, withMark])
  return { id: first, leader: second, time }
}

/** The same for a label of one line, which has no room for the leader. */
function fitLine(id: string, gap: string, deviationS: number | null, width: number): { id: string; leader: string; time: string } {
  const time = signedMinutes(deviationS)
  return { id: elide(id, width - AROUND_PX.tight - MEASURES.time.tight(time) - MEASURES.gap(gap), MEASURES.id.tight, 0.3), leader: '', time }
}

function describe(vehicle: LineVehicle, text: Messages): string {
  const state = text.states[vehicle.headway_state ?? 'unknown']
  const leader = vehicle.leader_id ? text.behind(vehicle.leader_id) : text.noLeader
  const timing = `${signed(vehicle.deviation_s)} ${text.punctuality[punctuality(vehicle.deviation_s)]}`
  return `${vehicle.vehicle_id}: ${leader}, ${duration(vehicle.headway_s)} / ${plan(vehicle.scheduled_headway_s)}, ${state}; ${timing}`
}

interface LabelProps {
  placed: Placed
  /** What the ids of all vehicles of the line begin with, and how wide the label is. */
  prefix: string
  width: number
  roomy: boolean
  active: boolean
  leads: boolean
  follows: boolean
  estimated: boolean
  selected: boolean
  mark: Marks | undefined
}

function Label({ placed: { vehicle, labelY }, prefix, width, roomy, active, leads, follows, estimated, selected, mark }: LabelProps) {
  const text = useMessages()
  const key = vehicleKey(vehicle)
  const state = vehicle.headway_state ?? 'unknown'
  const headway = `${estimated && roomy && vehicle.headway_s !== null ? '≈' : ''}${duration(vehicle.headway_s)}`
  const planned = `/${plan(vehicle.scheduled_headway_s)}`
  const name = shortId(vehicle.vehicle_id, prefix)
  const { id, leader, time } = roomy
    ? fitTop(name, shortId(vehicle.leader_id ?? '', prefix), vehicle.deviation_s, width)
    : fitLine(name, headway + planned, vehicle.deviation_s, width)
  const timing = punctuality(vehicle.deviation_s)
  const classes = ['rung', `edge-${state}`, roomy ? 'rung--roomy' : 'rung--tight']
  if (active) classes.push('rung--active')
  if (leads) classes.push('rung--leads')
  if (follows) classes.push('rung--follows')
  if (mark?.advice) classes.push('rung--advised')
  if (mark?.advice && roomy && width < CROWDED_PX) classes.push('rung--crowded')
  if (selected) classes.push('rung--selected')
  if (vehicle.state === 'silent') classes.push('rung--silent')
  return (
    <button type="button" class={classes.join(' ')} style={{ transform: `translateY(${labelY}px) translateY(-50%)` }}
      data-vehicle={key} title={describe(vehicle, text)} aria-label={describe(vehicle, text)} aria-pressed={selected}
      onClick={() => selectVehicle(selected ? null : key)}
      onPointerEnter={(event) => event.pointerType === 'mouse' && setState({ hoveredVehicle: key })} onPointerLeave={() => setState({ hoveredVehicle: null })}
      onFocus={() => setState({ hoveredVehicle: key })} onBlur={() => setState({ hoveredVehicle: null })}>
      <b class="rung__id">{id}</b>
      <span class="rung__leader">{leader ? `›${leader}` : ''}</span>
      <span class={`rung__time time-${timing}`}>{time}</span>
      <span class={`rung__gap tone-${state}`}>
        <StateMark state={state} />
        <b>{headway}</b>
        <span class="rung__plan">{planned}</span>
      </span>
      {mark && <DeskMark mark={mark} roomy={roomy} />}
    </button>
  )
}

interface StripProps {
  direction: LineDirection
  prefix: string
  height: number
  width: number
  upward: boolean
  mirrored: boolean
  marks: Map<string, Marks>
}

function Strip({ direction, prefix, height, width, upward, mirrored, marks }: StripProps) {
  const text = useMessages()
  const hovered = useStore((state) => state.hoveredVehicle)
  const selected = useStore((state) => state.selectedVehicle)
  const headways = useStore((state) => state.fleet.headwayByKey)
  const onLine = direction.vehicles.filter((vehicle) => vehicle.line_m !== null)
  const away = direction.vehicles.filter((vehicle) => vehicle.line_m === null)
  const roomy = onLine.length * ROOMY_PX <= height * SCREENS_MAX
  const pitch = roomy ? ROOMY_PX : TIGHT_PX
  const tall = Math.max(height, onLine.length * pitch + 8)
  const scale: Scale = { height: tall, pad: 16, lengthM: direction.length_m, upward }
  const placed = placeVehicles(direction, scale, pitch)
  const gaps = gapsBetween(placed, scale)
  const stops = markStops(direction, scale, NAME_PX)
  const activeVehicle = placed.find(({ vehicle }) => vehicleKey(vehicle) === (hovered ?? selected))?.vehicle
  const leaderOfActive = activeVehicle?.leader_id
  const namesWidth = Math.round(Math.min(140, width * (roomy ? 0.325 : 0.28)))
  const axis = namesWidth + 11
  const labels = axis + 18
  const common = commonWords(direction.stops.map((stop) => stop.name))
  const x = (value: number) => (mirrored ? width - value : value)

  return (
    <div class={`ladder__strip ${mirrored ? 'ladder__strip--mirrored' : ''}`}>
      <div class="ladder__canvas" style={{ height: `${tall}px` }} data-direction={direction.direction_id}>
        <svg width={width} height={tall} aria-hidden="true">
          <line class="axis" x1={x(axis)} x2={x(axis)} y1={scale.pad} y2={tall - scale.pad} />
          {gaps.map((gap) => (
            <line key={gap.key} class={`gap gap--${gap.state}`} x1={x(axis)} x2={x(axis)} y1={gap.fromY} y2={gap.toY} />
          ))}
          {stops.map(({ stop, y, named }) => (
            <circle key={`${stop.stop_id} ${stop.distance_m}`} class={named ? 'halt halt--named' : 'halt'} cx={x(axis)} cy={y} r={named ? 3 : 2} />
          ))}
          {placed.map(({ vehicle, y, labelY }) => (
            <path key={vehicleKey(vehicle)} class="lead"
              d={`M${x(axis + 7)} ${y}C${x(axis + 13)} ${y} ${x(axis + 11)} ${labelY} ${x(labels)} ${labelY}`} />
          ))}
          {placed.map(({ vehicle, y }) => {
            const key = vehicleKey(vehicle)
            const state = vehicle.headway_state ?? 'unknown'
            const active = hovered === key || selected === key
            const advised = marks.get(key)?.advice != null
            return (
              <g key={key} class={`cab cab--${state} ${active ? 'cab--active' : ''} ${vehicle.state === 'silent' ? 'cab--silent' : ''}`} style={{ transform: `translate(${x(axis)}px, ${y}px)` }}>
                {advised && <circle class="cab__advised" r="10" />}
                <path d={upward ? 'M0-8 6.5 6 0 2.8-6.5 6z' : 'M0 8 6.5-6 0-2.8-6.5-6z'} />
              </g>
            )
          })}
        </svg>
        {stops.filter((mark) => mark.named).map(({ stop, y }) => (
          <span key={`${stop.stop_id} ${stop.distance_m}`} class="halt__name" title={stop.name}
            style={{ top: `${y}px`, width: `${namesWidth}px`, [mirrored ? 'right' : 'left']: 0 }}>{fitName(stop.name, common, namesWidth - 1, MEASURES.name)}</span>
        ))}
        <div class="rungs" style={{ [mirrored ? 'right' : 'left']: `${labels}px`, width: `${width - labels}px` }}>
          {placed.map((one) => {
            const key = vehicleKey(one.vehicle)
            return (
              <Label key={key} placed={one} prefix={prefix} width={width - labels} roomy={roomy} active={hovered === key} selected={selected === key}
                estimated={headways.get(key)?.estimated ?? false} leads={leaderOfActive === one.vehicle.vehicle_id}
                follows={activeVehicle !== undefined && one.vehicle.leader_id === activeVehicle.vehicle_id} mark={marks.get(key)} />
            )
          })}
        </div>
      </div>
      {away.length > 0 && (
        <div class="away">
          <span>{text.offStrip}:</span>
          {away.map((vehicle) => (
            <button key={vehicleKey(vehicle)} type="button" class="chip" title={text.vehicleStates[vehicle.state]}
              data-vehicle={vehicleKey(vehicle)} onClick={() => selectVehicle(vehicleKey(vehicle))}>{shortId(vehicle.vehicle_id, prefix)}</button>
          ))}
        </div>
      )}
    </div>
  )
}

function Strips({ directions }: { directions: LineDirection[] }) {
  const text = useMessages()
  const marks = useDeskMarks()
  const { element, width, height } = useSize<HTMLDivElement>()
  const together = directions.length > 1 && width >= SIDE_BY_SIDE_PX
  const gutter = 8
  const stripWidth = together ? Math.floor((width - gutter) / 2) : width
  const headHeight = 42
  const prefix = commonPrefix(directions.flatMap((direction) => direction.vehicles.map((vehicle) => vehicle.vehicle_id)))
  // One below the other they scroll anyway, so each may be as tall as its labels like.
  const most = Math.max(0, ...directions.map((direction) => direction.vehicles.length))
  const stripHeight = Math.max(together ? 300 : Math.max(360, most * ROOMY_PX), height - headHeight)
  return (
    <div class="ladder__body" ref={element}>
      {width > 0 && (
        <div class={together ? 'ladder__pair' : 'ladder__pile'} style={{ gap: `${gutter}px` }}>
          {directions.map((direction, index) => {
            const second = index % 2 === 1
            return (
              <div key={direction.direction_id} style={{ width: `${stripWidth}px` }}>
                <h3 class={`ladder__direction ${together && second ? 'ladder__direction--mirrored' : ''}`}>
                  <span class="ladder__headsign" title={direction.headsign}>
                    <span aria-hidden="true">{together && second ? '↑ ' : '↓ '}</span>
                    {direction.headsign || text.direction(direction.direction_id)}
                  </span>
                  <small>{text.vehicles(direction.vehicles.length)} · {text.plan} {duration(plannedHeadway(direction))}</small>
                </h3>
                <Strip direction={direction} prefix={prefix} width={stripWidth} height={stripHeight} upward={together && second} mirrored={together && second} marks={marks} />
              </div>
            )
          })}
        </div>
      )}
    </div>
  )
}

function Legend() {
  const text = useMessages()
  return (
    <ul class="legend" aria-label={text.observedPlan}>
      {STATES.map((state) => (
        <li key={state} class={`tone-${state}`}><StateMark state={state} />{text.states[state]}</li>
      ))}
    </ul>
  )
}

/** Where the vehicles are now, or how they came there. */
function Views({ view }: { view: State['lineView'] }) {
  const text = useMessages()
  const signedIn = useStore((state) => state.session !== null)
  if (!signedIn) return null
  return (
    <div class="segmented views" role="group" aria-label={text.strings.view}>
      {(['ladder', 'stringline'] as const).map((one) => (
        <button key={one} type="button" class="segmented__part" aria-pressed={view === one} title={`${text.strings.hints[one]} (S)`} onClick={() => setState({ lineView: one })}>
          {text.strings.views[one]}
        </button>
      ))}
    </div>
  )
}

export function Ladder() {
  const text = useMessages()
  const routeId = useStore((state) => state.selectedRoute)
  const route = useStore((state) => (routeId ? state.routes.get(routeId) : undefined))
  const line = useStore((state) => (state.line?.route_id === routeId ? state.line : null))
  const inThePast = useStore((state) => state.past !== null)
  // Stringlines are made of history, which is shown to who is signed in.
  const view = useStore((state) => (state.session ? state.lineView : 'ladder'))
  if (routeId === null) {
    return (
      <Panel id="ladder" label={text.overview} feed="vehicles" class="ladder">
        <div class="panel__head"><h2>{text.overview}</h2><Freshness feed="vehicles" /></div>
        <Overview />
        <Legend />
      </Panel>
    )
  }
  return (
    <Panel id="ladder" label={text.ladderOf(route?.short_name ?? routeId)} feed="line" class="ladder">
      <div class="panel__head">
        <button type="button" class="button button--icon button--bare" onClick={() => selectRoute(null)} aria-label={text.backToOverview} title={text.backToOverview}>‹</button>
        <LineBadge route={route} routeId={routeId} />
        <h2 class="ladder__name" title={route?.long_name}>{route?.long_name || text.ladder}</h2>
        <Views view={view} />
        {line && <Freshness feed="line" />}
      </div>
      {!inThePast && <ControlBar key={routeId} routeId={routeId} />}
      {!line ? <p class="empty">{text.noData}</p> : view === 'stringline' ? <Stringlines routeId={routeId} directions={line.directions} /> : <Strips directions={line.directions} />}
      <Legend />
    </Panel>
  )
}
