// The past on show: said in words and in colour, with its time bar and its alerts, its speed and the way back to now.
import { useEffect, useRef, useState } from 'preact/hooks'
import { selectRoute } from '../data/actions'
import type { PastMark } from '../data/deskTypes'
import { markFrom, returnToLive, seek, setSpeed, SPEEDS, step, STEP_S, togglePlay } from '../data/playback'
import { useStore, type Past } from '../data/store'
import { useFormat, useMessages } from '../i18n'

const TICKS = 6
const MARKS_SHOWN = 600

/** Shows the moment in which an alert opened, and its line. */
export function goTo(mark: PastMark): void {
  if (mark.route_id) selectRoute(mark.route_id)
  seek(mark.at)
}

function Button({ label, path, onClick, disabled = false, class: extra = '' }: { label: string; path: string; onClick: () => void; disabled?: boolean; class?: string }) {
  return (
    <button type="button" class={`button button--small past__key ${extra}`} aria-label={label} title={label} disabled={disabled} onClick={onClick}>
      <svg width="12" height="12" viewBox="0 0 12 12" aria-hidden="true"><path d={path} fill="currentColor" /></svg>
    </button>
  )
}

/** Where alerts opened, as strokes above the bar; the strokes are for the eye, the buttons beside it for the hand. */
function Marks({ past }: { past: Past }) {
  const share = (at: number) => ((at - past.from) / (past.to - past.from)) * 100
  return (
    <span class="past__marks" aria-hidden="true">
      {past.marks.slice(-MARKS_SHOWN).map((mark) => (
        <i key={mark.id} class={`past__mark edge-${mark.kind === 'bunched' || mark.kind === 'gapped' ? mark.kind : 'alarm'}`} style={{ left: `${share(mark.at)}%` }} />
      ))}
    </span>
  )
}

/** What waits meanwhile: nobody shall miss a driver's alarm while looking back. */
function Meanwhile() {
  const text = useMessages().desk.past
  const open = useStore((state) => state.alerts?.alerts.filter((alert) => alert.state === 'open').length ?? 0)
  const alarms = useStore((state) => state.alerts?.alerts.filter((alert) => alert.state === 'open' && alert.kind === 'alarm').length ?? 0)
  if (open === 0) return null
  return <span class={`past__meanwhile ${alarms > 0 ? 'past__meanwhile--alarm' : ''}`} role="status">{alarms > 0 ? text.alarmsNow(alarms) : text.openNow(open)}</span>
}

export function PlaybackBar() {
  const text = useMessages().desk.past
  const { clock, time, date } = useFormat()
  const past = useStore((state) => state.past)
  // While the bar is dragged it shows where the hand is, not what is played.
  const [dragged, setDragged] = useState<number | null>(null)
  const back = useRef<HTMLButtonElement>(null)
  const shown = past !== null
  useEffect(() => {
    if (shown) back.current?.focus()
  }, [shown])
  if (!past) return null
  const running = past.state === 'playing' || past.state === 'loading'
  const at = dragged ?? past.at
  const [before, after] = [markFrom(past, -1), markFrom(past, 1)]
  return (
    <section class="past" aria-label={text.title} data-state={past.state}>
      <span class="past__badge" role="status">{text.banner}</span>
      <span class="past__when"><b>{clock(at)}</b> {date(at)}</span>
      <span class="past__keys">
        <Button label={text.alertBefore} path="M1 1h2v10H1zM11 1v10L4 6z" disabled={!before} onClick={() => before && goTo(before)} />
        <Button label={text.stepBack(STEP_S)} path="M8 1v10L2 6zM9 1h1.6v10H9z" onClick={() => step(-STEP_S)} />
        <Button label={running ? text.pause : text.play} class="past__play" path={running ? 'M2 1h3v10H2zM7 1h3v10H7z' : 'M2 .8 11 6 2 11.2z'} onClick={togglePlay} />
        <Button label={text.stepOn(STEP_S)} path="M4 1v10l6-5zM1.4 1H3v10H1.4z" onClick={() => step(STEP_S)} />
        <Button label={text.alertNext} path="M9 1h2v10H9zM1 1v10l7-5z" disabled={!after} onClick={() => after && goTo(after)} />
      </span>
      <span class="past__bar">
        <Marks past={past} />
        <input type="range" min={past.from} max={past.to} step={1} value={at} aria-label={text.position} aria-valuetext={clock(at)}
          onInput={(event) => setDragged(Number(event.currentTarget.value))}
          onChange={(event) => {
            setDragged(null)
            seek(Number(event.currentTarget.value))
          }} />
        <span class="past__ticks" aria-hidden="true">
          {Array.from({ length: TICKS + 1 }, (_, index) => <i key={index}>{time(past.from + ((past.to - past.from) * index) / TICKS)}</i>)}
        </span>
      </span>
      <select class="input past__speed" aria-label={text.speed} title={text.speed} value={past.speed} onChange={(event) => setSpeed(Number(event.currentTarget.value))}>
        {SPEEDS.map((speed) => <option key={speed} value={speed}>{text.times(String(speed))}</option>)}
      </select>
      <span class="past__state">{past.positionsGone ? <b>{text.positionsGone}</b> : text.states[past.state]}</span>
      <Meanwhile />
      <button ref={back} type="button" class="button button--small button--primary past__live" onClick={returnToLive}>{text.live}</button>
    </section>
  )
}
