// The excess wait of a line over the last hour: one sees whether it has fallen since the line was switched on.
import { useEffect, useState } from 'preact/hooks'
import type { LineControl } from '../data/deskTypes'
import { loadEarlier, samplesOf, type Sample } from '../data/trend'
import { duration, useFormat, useMessages } from '../i18n'
import { serverNow, useSecond } from '../ui/clock'
import { useSize } from '../ui/size'

const SPAN_S = 3600
const AXIS = { left: 38, bottom: 18 }
/** Nearer to its right end a label stands to the left of what it names. */
const LABEL_ROOM = 90

/** What the server measured before the page came, then what it has said since. */
export function useSamples(routeId: string): Sample[] {
  const [earlier, setEarlier] = useState<{ routeId: string; samples: Sample[] }>({ routeId, samples: [] })
  useEffect(() => {
    let wanted = true
    // Without a database of history there is no earlier, and the chart begins now.
    loadEarlier(routeId, serverNow()).then((samples) => wanted && setEarlier({ routeId, samples })).catch(() => undefined)
    return () => {
      wanted = false
    }
  }, [routeId])
  const heard = samplesOf(routeId)
  const from = heard[0]?.at ?? Infinity
  return [...(earlier.routeId === routeId ? earlier.samples.filter((one) => one.at < from - 60) : []), ...heard]
}

interface ChartProps {
  line: LineControl
  height: number
  /** With times and minutes at its sides, where there is room to read them. */
  axes?: boolean
}

const beside = (at: number, right: number) => (at + LABEL_ROOM > right ? { x: at - 4, 'text-anchor': 'end' as const } : { x: at + 4 })

/** The chart, as wide as its place. */
export function TrendChart(props: ChartProps) {
  const { element, width } = useSize<HTMLSpanElement>()
  return <span class="trend__frame" ref={element} style={{ height: `${props.height}px` }}>{width > 60 && <Chart {...props} width={width} />}</span>
}

function Chart({ line, width, height, axes = false }: ChartProps & { width: number }) {
  useSecond()
  const text = useMessages().desk.control
  const { time } = useFormat()
  const now = serverNow()
  const points = useSamples(line.route_id).filter((one): one is Sample & { ewt_s: number } => one.ewt_s !== null && one.at > now - SPAN_S)
  const box = { left: axes ? AXIS.left : 1, right: width - 4, top: 4, bottom: height - (axes ? AXIS.bottom : 2) }
  const since = line.mode !== 'off' && line.since !== null && line.since > now - SPAN_S ? line.since : null
  const before = line.mode !== 'off' ? line.ewt_before_s : null
  const top = Math.max(60, before ?? 0, ...points.map((one) => one.ewt_s)) * 1.1
  const x = (at: number) => box.left + ((at - (now - SPAN_S)) / SPAN_S) * (box.right - box.left)
  // Below nothing: riders wait less than the timetable has them wait.
  const low = Math.min(0, ...points.map((one) => one.ewt_s)) * 1.1
  const y = (ewt: number) => box.bottom - ((ewt - low) / (top - low)) * (box.bottom - box.top)
  const path = points.map((one, index) => `${index ? 'L' : 'M'}${x(one.at).toFixed(1)} ${y(one.ewt_s).toFixed(1)}`).join('')
  const [first, last] = [points[0], points.at(-1)]
  return (
    <svg class="trend" width={width} height={height} viewBox={`0 0 ${width} ${height}`} role="img" aria-label={text.chart(duration(line.ewt_s), duration(before))}>
      <path class="trend__base" d={`M${box.left} ${y(0) + 0.5}H${box.right}`} />
      {axes && [0, 0.5, 1].map((share) => (
        <g key={share}>
          {share > 0 && <path class="trend__grid" d={`M${box.left} ${y(top * share / 1.1)}H${box.right}`} />}
          <text class="trend__text" x={box.left - 6} y={y(top * share / 1.1) + 4} text-anchor="end">{duration(top * share / 1.1)}</text>
        </g>
      ))}
      {axes && [0, 1 / 3, 2 / 3, 1].map((share) => (
        <text key={share} class="trend__text" x={box.left + share * (box.right - box.left)} y={height - 4}
          text-anchor={share === 0 ? 'start' : share === 1 ? 'end' : 'middle'}>{time(now - SPAN_S * (1 - share))}</text>
      ))}
      {since !== null && <rect class="trend__on" x={x(since)} y={box.top} width={Math.max(0, box.right - x(since))} height={box.bottom - box.top} />}
      {before !== null && <path class="trend__before" d={`M${box.left} ${y(before)}H${box.right}`} />}
      {since !== null && <path class="trend__since" d={`M${x(since)} ${box.top}V${box.bottom}`} />}
      {axes && since !== null && <text class="trend__text" y={box.top + 10} {...beside(x(since), box.right)}>{text.switchedOn}</text>}
      {first && last && points.length > 1 && <path class="trend__area" d={`${path}L${x(last.at)} ${y(0)}L${x(first.at)} ${y(0)}Z`} />}
      {points.length > 1 && <path class="trend__line" d={path} />}
      {last && <circle class="trend__now" cx={x(last.at)} cy={y(last.ewt_s)} r={axes ? 3.5 : 2.5} />}
    </svg>
  )
}
