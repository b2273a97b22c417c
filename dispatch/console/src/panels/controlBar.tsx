// How one line is controlled: off, advise or automatic, by which law, and what it has done to the riders' waiting.
import { setControl } from '../data/desk'
import type { ControlMode, LineControl } from '../data/deskTypes'
import { changeOf } from '../data/trend'
import { setState, useStore } from '../data/store'
import { duration, useFormat, useMessages } from '../i18n'
import { useAttempt } from '../ui/attempt'
import { STALE_S, useAge } from '../ui/freshness'
import { TrendChart } from './trendChart'

const MODES: ControlMode[] = ['off', 'advise', 'automatic']
const CONTROL_STALE_S = 10 + STALE_S // where the stream does not bring it, it is asked for every few seconds only
const PREFERRED = 'optimal'

export const decimal = (value: number): string => value.toFixed(2)

export function ModeTag({ mode }: { mode: ControlMode }) {
  const text = useMessages().desk.control
  if (mode === 'off') return null
  return <span class={`mode mode--${mode}`} title={`${text.modes[mode]}: ${text.hints[mode]}`}>{text.short[mode]}</span>
}

/** A figure now, with what it was when the line was switched on. */
function Figure({ name, hint, value, before, change }: { name: string; hint: string; value: string; before: string | null; change: number | null }) {
  const text = useMessages().desk.control
  const { share } = useFormat()
  const tone = change === null || Math.abs(change) < 0.05 ? '' : change < 0 ? 'figure--better' : 'figure--worse'
  return (
    <span class={`figure ${tone}`} title={hint}>
      <span class="figure__name">{name}</span>
      <span class="figure__value">
        <b>{value}</b>
        {change !== null && <span class="figure__change">{change < 0 ? '−' : '+'}{share(Math.abs(change))}</span>}
      </span>
      <span class="figure__before">{before === null ? '' : text.before(before)}</span>
    </span>
  )
}

export function Figures({ line }: { line: LineControl }) {
  const text = useMessages().desk.control
  const { time } = useFormat()
  const on = line.mode !== 'off'
  const cvhBefore = on ? line.c_vh_before ?? null : null
  return (
    <>
      <Figure name={text.ewt} hint={text.ewtHint} value={duration(line.ewt_s)} before={on && line.ewt_before_s !== null ? duration(line.ewt_before_s) : null} change={changeOf(line)} />
      <Figure name={text.cvh} hint={text.cvhHint} value={line.c_vh === null ? '–' : decimal(line.c_vh)}
        before={cvhBefore !== null ? decimal(cvhBefore) : null} change={cvhBefore && line.c_vh !== null ? line.c_vh / cvhBefore - 1 : null} />
      {on && line.since !== null && <span class="sr-only">{text.since(time(line.since))}</span>}
    </>
  )
}

export function ControlBar({ routeId }: { routeId: string }) {
  const messages = useMessages()
  const text = messages.desk.control
  const { clock, integer } = useFormat()
  const control = useStore((state) => state.control)
  const { busy, attempt } = useAttempt()
  const age = useAge('control')
  const line = control?.lines.find((one) => one.route_id === routeId)
  if (!control || !line) return null
  const law = line.law ?? (control.laws.includes(PREFERRED) ? PREFERRED : control.laws[0]) ?? ''
  const choose = (mode: ControlMode) => {
    if (mode === line.mode) return
    // Nobody's hand is on automatic control, so it takes a second word.
    if (mode === 'automatic') return setState({ dialog: { kind: 'automatic', routeId, law } })
    void attempt(() => setControl(routeId, mode, mode === 'off' ? null : law), text.changed(line.short_name, text.modes[mode]))
  }
  const on = line.mode !== 'off'
  return (
    <section class="control" aria-label={text.title} data-mode={line.mode} data-stale={age !== null && age > CONTROL_STALE_S ? 'true' : 'false'}>
      <div class="control__row">
        <div class="segmented" role="group" aria-label={text.title}>
          {MODES.map((mode) => (
            <button key={mode} type="button" class={`segmented__part segmented__part--${mode}`} aria-pressed={mode === line.mode} disabled={busy} title={text.hints[mode]} onClick={() => choose(mode)}>
              {text.modes[mode]}
            </button>
          ))}
        </div>
        <select class="input control__law" aria-label={text.law} title={text.lawHints[law] ?? text.law} value={law} disabled={busy || !on}
          onChange={(event) => {
            const chosen = event.currentTarget.value
            void attempt(() => setControl(routeId, line.mode, chosen), text.changed(line.short_name, text.laws[chosen] ?? chosen))
          }}>
          {control.laws.map((one) => <option key={one} value={one}>{text.laws[one] ?? one}</option>)}
        </select>
        <button type="button" class="button button--small" onClick={() => setState({ dialog: { kind: 'decisions', routeId } })}
          title={text.counts(integer(line.advised), integer(line.applied), integer(line.declined))}>{text.decisions}</button>
      </div>
      <div class="control__row control__row--figures" title={on && line.since !== null ? `${text.since(clock(line.since))}${line.by ? `, ${text.by(line.by)}` : ''}` : undefined}>
        <Figures line={line} />
        {line.ewt_s === null ? <span class="control__waiting">{text.chartWaiting}</span> : <TrendChart line={line} height={40} />}
      </div>
    </section>
  )
}
