// Taps per minute with the last hour as a tiny chart; only for who is signed in.
import { useStore } from '../data/store'
import type { Activity } from '../data/types'
import { useFormat, useMessages } from '../i18n'
import { STALE_S, useAge } from '../ui/freshness'
import { ValidatorsMark } from './validators'

const WIDTH = 120
const HEIGHT = 28
const ACTIVITY_STALE_S = 10 + STALE_S // it is asked for every five seconds only

function Chart({ minutes }: { minutes: Activity['by_minute'] }) {
  const text = useMessages()
  const { integer } = useFormat()
  const sum = (of: 'accepted' | 'refused') => minutes.reduce((total, minute) => total + minute[of], 0)
  const top = Math.max(1, ...minutes.map((minute) => minute.accepted + minute.refused))
  const step = WIDTH / 60
  const first = 60 - minutes.length
  const bar = (count: number) => Math.max(count > 0 ? 1 : 0, (count / top) * HEIGHT)
  return (
    <svg class="taps__chart" width={WIDTH} height={HEIGHT} viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img"
      aria-label={text.kpi.tapsChart(integer(sum('accepted')), integer(sum('refused')))}>
      <path class="taps__base" d={`M0 ${HEIGHT - 0.5}H${WIDTH}`} />
      {minutes.slice(-60).map((minute, index) => {
        const x = (Math.max(0, first) + index) * step
        const all = bar(minute.accepted + minute.refused)
        const refused = bar(minute.refused)
        return (
          <g key={minute.minute}>
            <rect class="taps__accepted" x={x} y={HEIGHT - all} width={step - 0.5} height={all} />
            {refused > 0 && <rect class="taps__refused" x={x} y={HEIGHT - refused} width={step - 0.5} height={refused} />}
          </g>
        )
      })}
    </svg>
  )
}

export function Taps() {
  const text = useMessages()
  const { integer } = useFormat()
  const activity = useStore((state) => state.activity)
  const signedIn = useStore((state) => state.session !== null)
  const age = useAge('activity')
  return (
    <div class="kpi kpi--taps" data-stale={age !== null && age > ACTIVITY_STALE_S ? 'true' : 'false'}>
      <dt>{text.kpi.taps}</dt>
      <dd>
        {activity ? integer(activity.taps_per_minute) : '–'}
        {!signedIn && <span class="kpi__note">{text.kpi.tapsSignIn}</span>}
        {activity && <Chart minutes={activity.by_minute} />}
        <ValidatorsMark />
      </dd>
    </div>
  )
}
