// A word to the driver of one vehicle, and how far what was sent has come.
import { useState } from 'preact/hooks'
import { sendInstruction } from '../data/actions'
import { shortId } from '../data/derive'
import type { Instruction } from '../data/deskTypes'
import { setState, useStore } from '../data/store'
import type { Vehicle } from '../data/types'
import { useFormat, useMessages } from '../i18n'
import { useAttempt } from '../ui/attempt'
import { serverNow } from '../ui/clock'
import { Steps, whatIsAsked } from './steps'

const HOLD_MINUTES = [1, 2, 3, 5, 10]
const LOG_SHOWN = 6

function Instruct({ vehicle }: { vehicle: Vehicle }) {
  const text = useMessages()
  const { integer } = useFormat()
  const prefix = useStore((state) => state.fleet.prefix)
  const [kind, setKind] = useState<'message' | 'hold'>('message')
  const [words, setWords] = useState('')
  const [minutes, setMinutes] = useState(2)
  const { busy, attempt } = useAttempt()
  const send = async (event: Event) => {
    event.preventDefault()
    const draft = {
      operator_id: vehicle.operator_id,
      vehicle_id: vehicle.vehicle_id,
      kind,
      text: kind === 'hold' ? words || text.holdText(String(minutes)) : words,
      until_ts: kind === 'hold' ? Math.round(serverNow()) + minutes * 60 : null,
    }
    if (await attempt(() => sendInstruction(draft), text.sent(shortId(vehicle.vehicle_id, prefix)))) setWords('')
  }
  return (
    <form class="instruct" onSubmit={(event) => void send(event)} aria-label={text.instruct}>
      <div class="instruct__row">
        <select class="input" aria-label={text.instruct} value={kind} onChange={(event) => setKind(event.currentTarget.value as 'message' | 'hold')}>
          <option value="message">{text.kindMessage}</option>
          <option value="hold">{text.kindHold}</option>
        </select>
        {kind === 'hold' && (
          <select class="input" aria-label={text.holdFor} value={minutes} onChange={(event) => setMinutes(Number(event.currentTarget.value))}>
            {HOLD_MINUTES.map((n) => <option key={n} value={n}>{text.minutes(integer(n))}</option>)}
          </select>
        )}
        <button type="submit" class="button button--small button--primary" disabled={busy || (kind === 'message' && !words.trim())}>{text.send}</button>
      </div>
      <input class="input" value={words} maxLength={200} aria-label={text.messageText}
        placeholder={kind === 'hold' ? text.holdText(String(minutes)) : text.messageText}
        onInput={(event) => setWords(event.currentTarget.value)} />
    </form>
  )
}

function Entry({ instruction }: { instruction: Instruction }) {
  const text = useMessages()
  const format = useFormat()
  return (
    <li class="log__entry" data-instruction={instruction.id}>
      <span class="log__top">
        <time>{format.clock(instruction.created_at)}</time>
        <span class="log__by">{instruction.automatic ? text.desk.advice.automatic : instruction.by ?? ''}</span>
        <Steps instruction={instruction} named />
      </span>
      <span class="log__what" title={instruction.text ?? undefined}>{whatIsAsked(instruction, text, format)}</span>
    </li>
  )
}

function Log({ vehicle }: { vehicle: Vehicle }) {
  const text = useMessages().desk.steps
  const instructions = useStore((state) => state.instructions?.instructions)
  if (!instructions) return null
  const mine = instructions
    .filter((one) => one.vehicle_id === vehicle.vehicle_id && one.operator_id === vehicle.operator_id)
    .sort((a, b) => b.created_at - a.created_at)
    .slice(0, LOG_SHOWN)
  return mine.length > 0
    ? <ul class="log" aria-label={text.title}>{mine.map((one) => <Entry key={one.id} instruction={one} />)}</ul>
    : <p class="log__none">{text.none}</p>
}

export function Driver({ vehicle }: { vehicle: Vehicle }) {
  const text = useMessages()
  const signedIn = useStore((state) => state.session !== null)
  if (!signedIn) {
    return <button type="button" class="link" onClick={() => setState({ dialog: 'login' })}>{text.signInToInstruct}</button>
  }
  return (
    <>
      <Instruct vehicle={vehicle} />
      <Log vehicle={vehicle} />
    </>
  )
}
