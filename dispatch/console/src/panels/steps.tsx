// How far an instruction has come: sent, delivered, read, done, as four small steps; or where it ended instead.
import type { Instruction } from '../data/deskTypes'
import { useFormat, useMessages } from '../i18n'
import type { Messages } from '../i18n/en'
import type { Format } from '../i18n'

const STEPS = ['sent', 'delivered', 'read', 'done'] as const

/** A message has reached its end when it has been read. */
const stepsOf = (instruction: Instruction): (typeof STEPS)[number][] => (instruction.kind === 'message' ? STEPS.slice(0, 3) : [...STEPS])

function timesOf(instruction: Instruction): Record<(typeof STEPS)[number], number | null> {
  return { sent: instruction.created_at, delivered: instruction.delivered_at, read: instruction.read_at, done: instruction.done_at }
}

/** How many of the four are behind it; a later step means the earlier ones, though a vehicle may not have said them. */
function reached(instruction: Instruction): number {
  const times = timesOf(instruction)
  let count = 1
  stepsOf(instruction).forEach((step, index) => {
    if (times[step] !== null || step === instruction.state) count = index + 1
  })
  return count
}

export const ended = (instruction: Instruction): 'expired' | 'failed' | null =>
  instruction.state === 'expired' || instruction.state === 'failed' ? instruction.state : null

export function whatIsAsked(instruction: Instruction, text: Messages, format: Format): string {
  const { steps } = text.desk
  switch (instruction.kind) {
    case 'depart':
      return instruction.depart_at ? steps.depart(format.clock(instruction.depart_at)) : instruction.text ?? ''
    case 'hold':
      if (instruction.hold_s !== null) return steps.hold(format.integer(instruction.hold_s))
      return instruction.until_ts !== null ? steps.holdUntil(format.clock(instruction.until_ts)) : instruction.text ?? ''
    default:
      return instruction.text ?? ''
  }
}

/** The steps in words: "Sent at 08:10:02, delivered at 08:10:03". */
export function stepsInWords(instruction: Instruction, text: Messages, format: Format): string {
  const { steps } = text.desk
  const times = timesOf(instruction)
  const said = STEPS.flatMap((step) => (times[step] === null ? [] : [steps.at(steps[step], format.clock(times[step]))]))
  const end = ended(instruction)
  if (end) said.push(instruction.expired_at !== null ? steps.at(steps[end], format.clock(instruction.expired_at)) : steps[end])
  return said.join(', ')
}

export function Steps({ instruction, named = false }: { instruction: Instruction; named?: boolean }) {
  const text = useMessages()
  const format = useFormat()
  const steps = stepsOf(instruction)
  const count = reached(instruction)
  const end = ended(instruction)
  const words = stepsInWords(instruction, text, format)
  const last = end ?? steps[count - 1] ?? 'sent'
  return (
    <span class={`steps ${end ? 'steps--ended' : ''} ${count === steps.length ? 'steps--done' : ''}`} data-step={last} title={words}>
      <span class="steps__dots" aria-hidden="true">
        {steps.map((step, index) => <i key={step} class={index < count ? 'step step--behind' : 'step'} />)}
      </span>
      {named ? <span class="steps__word">{text.desk.steps[last]}</span> : <span class="sr-only">{words}</span>}
    </span>
  )
}
