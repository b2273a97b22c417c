// The past on show: said in words and in colour, with its time bar, its speed and the way back to now.
import { pause, play, returnToLive, seek, setSpeed, SPEEDS, togglePlay } from '../data/playback'
import { useStore } from '../data/store'
import { useFormat, useMessages } from '../i18n'
import { useEffect, useRef, useState } from 'preact/hooks'

const TICKS = 6

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
  return (
    <section class="past" aria-label={text.title} data-state={past.state}>
      <span class="past__badge" role="status">{text.banner}</span>
      <span class="past__when"><b>{clock(at)}</b> {date(at)}</span>
      <button type="button" class="button button--small past__play" aria-label={running ? text.pause : text.play} title={running ? text.pause : text.play} onClick={togglePlay}>
        <svg width="12" height="12" viewBox="0 0 12 12" aria-hidden="true">
          <path d={running ? 'M2 1h3v10H2zM7 1h3v10H7z' : 'M2 .8 11 6 2 11.2z'} fill="currentColor" />
        </svg>
      </button>
      <span class="past__bar">
        <input type="range" min={past.from} max={past.to} step={1} value={at} aria-label={text.position} aria-valuetext={clock(at)}
          onPointerDown={() => running && pause()}
          onInput={(event) => setDragged(Number(event.currentTarget.value))}
          onChange={(event) => {
            setDragged(null)
            seek(Number(event.currentTarget.value))
          }}
          onPointerUp={(event) => {
            // Pressed and let go at the same place changes nothing, so no change is told.
            if (dragged === null && Number(event.currentTarget.value) === past.at && past.state === 'paused') play()
          }} />
        <span class="past__ticks" aria-hidden="true">
          {Array.from({ length: TICKS + 1 }, (_, index) => <i key={index}>{time(past.from + ((past.to - past.from) * index) / TICKS)}</i>)}
        </span>
      </span>
      <select class="input past__speed" aria-label={text.speed} title={text.speed} value={past.speed} onChange={(event) => setSpeed(Number(event.currentTarget.value))}>
        {SPEEDS.map((speed) => <option key={speed} value={speed}>{text.times(String(speed))}</option>)}
      </select>
      <span class="past__state">{text.states[past.state]}</span>
      <button ref={back} type="button" class="button button--small button--primary past__live" onClick={returnToLive}>{text.live}</button>
    </section>
  )
}
