// What a dispatcher's hand has to do with a vehicle, shown at its place: open advice, or how far an instruction has come.
import { useMemo } from 'preact/hooks'
import { currentInstruction, TOLD_S } from '../data/desk'
import type { Advice, Decision, Instruction } from '../data/deskTypes'
import { vehicleKey } from '../data/derive'
import { useStore } from '../data/store'
import { useFormat, useMessages } from '../i18n'
import { serverNow, shownNow } from '../ui/clock'
import { instructionOf } from './done'
import { Steps } from './steps'

export interface Marks {
  advice: Advice | null
  instruction: Instruction | null
}

const NOTHING = new Map<string, Marks>()

function marksThen(decisions: Decision[], now: number): Map<string, Marks> {
  const marks = new Map<string, Marks>()
  for (const decision of decisions) {
    const instruction = instructionOf(decision)
    const key = instruction ? vehicleKey(instruction) : ''
    const endedAt = instruction?.done_at ?? instruction?.expired_at ?? null
    if (instruction && !marks.has(key) && (endedAt === null || now - endedAt < TOLD_S)) marks.set(key, { advice: null, instruction })
  }
  return marks
}

/** By vehicle; in the past what had been sent by then. */
export function useDeskMarks(): Map<string, Marks> {
  const advice = useStore((state) => state.advice)
  const instructions = useStore((state) => state.instructions)
  const decisions = useStore((state) => state.past?.decisions ?? null)
  return useMemo(() => {
    if (decisions) return marksThen(decisions, shownNow())
    if (!advice && !instructions) return NOTHING
    const marks = new Map<string, Marks>()
    for (const one of advice?.advice ?? []) {
      if (one.state === 'open') marks.set(vehicleKey(one), { advice: one, instruction: null })
    }
    const list = instructions?.instructions ?? []
    const now = serverNow()
    for (const one of list) {
      const key = vehicleKey(one)
      const mark = marks.get(key)
      if (mark?.instruction) continue
      const instruction = currentInstruction(list, one.operator_id, one.vehicle_id, now)
      if (instruction) marks.set(key, { advice: mark?.advice ?? null, instruction })
    }
    return marks
  }, [advice, instructions, decisions])
}

/** In the corner of a vehicle's label: the seconds that are advised, else the steps of what was sent. */
export function DeskMark({ mark, roomy }: { mark: Marks; roomy: boolean }) {
  const text = useMessages().desk.advice
  const { integer } = useFormat()
  if (mark.advice) {
    return (
      <span class={`rung__desk rung__desk--advice ${roomy ? '' : 'rung__desk--tight'}`} title={text.title}>
        <svg width="7" height="8" viewBox="0 0 7 8" aria-hidden="true"><path d="M1 0h2v8H1zM4 0h2v8H4z" fill="currentColor" /></svg>
        {integer(mark.advice.hold_s)}
      </span>
    )
  }
  return mark.instruction ? <span class={`rung__desk ${roomy ? '' : 'rung__desk--tight'}`}><Steps instruction={mark.instruction} /></span> : null
}
