// Which hour to play again: the city's day and time, how long, how fast; said before whether anything is stored of it.
import { useEffect, useState } from 'preact/hooks'
import { RequestError } from '../data/api'
import type { PlaybackSpan } from '../data/deskTypes'
import { enterPast, lookAt, SPEEDS } from '../data/playback'
import { useStore } from '../data/store'
import { useFormat, useMessages } from '../i18n'
import { serverNow } from '../ui/clock'
import { closeDialog, Modal } from '../ui/modal'
import { instantOf, wallOf } from '../ui/zone'

const LENGTHS_MIN = [15, 30, 60, 120, 240]
const LOOK_AFTER_MS = 250 // typing a time shall not ask for every digit
const FIRST_SPEED = 10

interface Wish {
  day: string
  time: string
  minutes: number
}

function wishAt(from: number, minutes: number, zone: string): Wish {
  return { ...wallOf(from, zone), minutes }
}

type Seen = { span: PlaybackSpan } | { problem: string } | null

function useLook(from: number | null, to: number): Seen {
  const text = useMessages()
  const [seen, setSeen] = useState<Seen>(null)
  useEffect(() => {
    setSeen(null)
    if (from === null) return
    if (from >= serverNow() - 5) return setSeen({ problem: text.desk.past.future })
    let wanted = true
    const timer = setTimeout(() => {
      lookAt(from, to)
        .then((span) => wanted && setSeen(span.fixes + span.alerts + span.decisions > 0 ? { span } : { problem: text.desk.past.empty }))
        .catch((error: unknown) => {
          const absent = error instanceof RequestError && error.status === 404
          if (wanted) setSeen({ problem: absent ? text.desk.past.none : text.failed(error instanceof Error ? error.message : '') })
        })
    }, LOOK_AFTER_MS)
    return () => {
      wanted = false
      clearTimeout(timer)
    }
  }, [from, to])
  return seen
}

export function PlaybackDialog() {
  const messages = useMessages()
  const text = messages.desk.past
  const { integer, date, time } = useFormat()
  const zone = useStore((state) => state.instance?.timezone ?? 'UTC')
  const [opened] = useState(() => Math.floor(serverNow()))
  const [wish, setWish] = useState<Wish>(() => wishAt(opened - 3600, 60, zone))
  const [speed, setSpeed] = useState(FIRST_SPEED)
  const from = instantOf(wish.day, wish.time, zone)
  const to = Math.min((from ?? 0) + wish.minutes * 60, opened)
  const seen = useLook(from, to)
  const span = seen && 'span' in seen ? seen.span : null
  const whatIsStored = (one: PlaybackSpan): string => {
    const rest = text.storedRest(integer(one.alerts), integer(one.decisions))
    if (one.fixes > 0) {
      const later = from !== null && one.first_at !== null && one.first_at > from + 120 ? ` ${text.beginsAt(time(one.first_at))}` : ''
      return `${text.stored(integer(one.vehicles), integer(one.fixes))}, ${rest}.${later}`
    }
    return `${to <= one.fixes_from ? text.noLongerKept(date(one.fixes_from)) : text.noPositions} ${text.stillKept(rest)}`
  }
  const submit = (event: Event) => {
    event.preventDefault()
    // What is known of the time before the first position is little, but for an hour whose positions have gone.
    if (from !== null && span) enterPast({ from: Math.max(from, Math.floor(span.first_at ?? from)), to, speed, positionsGone: span.fixes === 0 })
  }
  return (
    <Modal label={text.title}>
      <form class="form" onSubmit={submit}>
        <div class="form__choices">
          <button type="button" class="button button--small" onClick={() => setWish(wishAt(opened - 900, 15, zone))}>{text.quarterAgo}</button>
          <button type="button" class="button button--small" onClick={() => setWish(wishAt(opened - 3600, 60, zone))}>{text.hourAgo}</button>
          <button type="button" class="button button--small" onClick={() => setWish(wishAt(opened - 86_400, 60, zone))}>{text.yesterday}</button>
        </div>
        <div class="form__row">
          <label>{text.day}<input class="input" name="day" type="date" required value={wish.day} max={wallOf(opened, zone).day} onInput={(event) => setWish({ ...wish, day: event.currentTarget.value })} /></label>
          <label>{text.from}<input class="input" name="time" type="time" required value={wish.time} onInput={(event) => setWish({ ...wish, time: event.currentTarget.value })} /></label>
        </div>
        <div class="form__row">
          <label>{text.length}
            <select class="input" name="length" value={wish.minutes} onChange={(event) => setWish({ ...wish, minutes: Number(event.currentTarget.value) })}>
              {LENGTHS_MIN.map((minutes) => <option key={minutes} value={minutes}>{text.minutes(minutes)}</option>)}
            </select>
          </label>
          <label>{text.speed}
            <select class="input" name="speed" value={speed} onChange={(event) => setSpeed(Number(event.currentTarget.value))}>
              {SPEEDS.map((one) => <option key={one} value={one}>{text.times(String(one))}</option>)}
            </select>
          </label>
        </div>
        <p class={`form__hint form__hint--one ${seen && 'problem' in seen ? 'form__problem' : ''}`} role="status">
          {span ? whatIsStored(span) : seen && 'problem' in seen ? seen.problem : ' '}
        </p>
        <div class="form__buttons">
          <button type="button" class="button" onClick={closeDialog}>{messages.cancel}</button>
          <button type="submit" class="button button--primary" disabled={!span}>{text.look}</button>
        </div>
      </form>
    </Modal>
  )
}
