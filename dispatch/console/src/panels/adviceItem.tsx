// One piece of advice: what to do, why, what it changes, and the buttons to decide it.
import { useState } from 'preact/hooks'
import { selectRoute, selectVehicle } from '../data/actions'
import { shortId, vehicleKey } from '../data/derive'
import { applyAdviceTo, declineAdvice } from '../data/desk'
import type { Advice, Instruction } from '../data/deskTypes'
import { getState, setState, useStore } from '../data/store'
import { duration, useFormat, useMessages } from '../i18n'
import { useAttempt } from '../ui/attempt'
import { LineBadge } from '../ui/badges'
import { serverNow } from '../ui/clock'
import { Steps } from './steps'

const STEP_S = 10
const HOLD_S = { min: 10, max: 600 }
const HURRY_S = 30

function Change({ name, before, after }: { name: string; before: number | null; after: number | null }) {
  if (before === null || after === null) return null
  return (
    <span class="change">
      {name} {duration(before)}<span aria-hidden="true"> → </span><b>{duration(after)}</b>
    </span>
  )
}

function Effect({ advice }: { advice: Advice }) {
  const text = useMessages().desk.advice
  const { integer } = useFormat()
  const { effect } = advice
  if (!effect) return null
  const minutes = Math.round((effect.riders_wait_saved_s ?? 0) / 60)
  const held = Math.round((effect.riders_held_s ?? 0) / 60)
  return (
    <span class="advice__effect" title={text.savedHint}>
      <Change name={text.ahead} before={effect.headway_s} after={effect.headway_after_s} />
      <Change name={text.behind} before={effect.behind_s} after={effect.behind_after_s} />
      {minutes > 0 && <span class="advice__saved">{text.saved(integer(minutes))}</span>}
      {held > 0 && <span>{text.held(integer(held))}</span>}
    </span>
  )
}

function Buttons({ advice, gone, holdS, onHold }: { advice: Advice; gone: boolean; holdS: number; onHold: (seconds: number) => void }) {
  const text = useMessages().desk.advice
  const { integer } = useFormat()
  const { busy, attempt } = useAttempt()
  const prefix = useStore((state) => state.fleet.prefix)
  const shift = (step: number) => onHold(Math.min(HOLD_S.max, Math.max(HOLD_S.min, Math.round(holdS / STEP_S) * STEP_S + step)))
  const off = busy || gone
  const left = advice.expires_at - serverNow()
  return (
    <span class="advice__act">
      <span class="stepper">
        <button type="button" class="button button--small stepper__end" data-key="-" disabled={off} aria-label={text.fewer} title={text.fewer} onClick={() => shift(-STEP_S)}>−</button>
        <button type="button" class="button button--small button--primary stepper__main" data-key="y" disabled={off} title={`${text.apply} (Y)`}
          onClick={() => void attempt(() => applyAdviceTo(advice, holdS), text.applied(shortId(advice.vehicle_id, prefix)))}>{text.applySeconds(integer(holdS))}</button>
        <button type="button" class="button button--small stepper__end" data-key="+" disabled={off} aria-label={text.more} title={text.more} onClick={() => shift(STEP_S)}>+</button>
      </span>
      <span class="advice__second">
        <button type="button" class="button button--small button--quiet" data-key="n" disabled={off} title={`${text.decline} (N)`}
          onClick={() => void attempt(() => declineAdvice(advice))}>{text.decline}</button>
        <span class={`advice__left ${left < HURRY_S ? 'advice__left--hurry' : ''}`}>{left > 0 ? text.left(duration(left)) : text.over}</span>
      </span>
    </span>
  )
}

function Outcome({ advice, instruction }: { advice: Advice; instruction: Instruction | undefined }) {
  const text = useMessages().desk.advice
  const { clock } = useFormat()
  const who = advice.decided_by === 'automatic' ? text.automatic(advice.switched_by ?? null) : advice.decided_by ?? ''
  return (
    <span class="advice__act advice__outcome">
      <b>{text.states[advice.state]}</b>
      {advice.decided_at !== null && <span>{who ? text.by(who, clock(advice.decided_at)) : clock(advice.decided_at)}</span>}
      {instruction && <Steps instruction={instruction} named />}
    </span>
  )
}

function showOnPage(advice: Advice): void {
  const key = vehicleKey(advice)
  if (getState().fleet.vehicleByKey.has(key)) selectVehicle(key)
  else selectRoute(advice.route_id)
  setState({ tab: 'ladder' })
}

export function AdviceItem({ advice, gone }: { advice: Advice; gone: boolean }) {
  const text = useMessages()
  const { clock, integer } = useFormat()
  const language = useStore((state) => state.language)
  const route = useStore((state) => state.routes.get(advice.route_id))
  const prefix = useStore((state) => state.fleet.prefix)
  const stopName = useStore((state) => (advice.stop_id ? state.stopNames.get(advice.stop_id) : undefined))
  const instruction = useStore((state) => state.instructions?.instructions.find((one) => one.id === advice.instruction_id))
  // Until the dispatcher has chosen other seconds, the advised ones follow what is known.
  const [chosen, setChosen] = useState<number | null>(null)
  const open = advice.state === 'open' && !gone
  const holdS = open ? chosen ?? advice.hold_s : instruction?.hold_s ?? advice.hold_s
  const stop = stopName ?? advice.stop_name ?? '?'
  const leaveAt = advice.depart_at === null ? null : advice.depart_at + (open ? holdS - advice.hold_s : 0)
  const what = advice.kind === 'depart' && leaveAt !== null
    ? text.desk.advice.depart(clock(leaveAt), stop)
    : text.desk.advice.hold(integer(holdS), stop)
  const mark = (on: boolean) => setState({ hoveredVehicle: on ? vehicleKey(advice) : null })
  return (
    <li class={`advice ${open ? 'advice--open' : 'advice--over'}`} data-advice={advice.id} data-state={gone ? 'withdrawn' : advice.state} data-item
      onPointerEnter={(event) => event.pointerType === 'mouse' && mark(true)} onPointerLeave={() => mark(false)}>
      <button type="button" class="advice__what" title={text.desk.advice.show} onClick={() => showOnPage(advice)}
        onFocus={(event) => {
          // The keyboard's focus opens the line, so that the next key decides on something that is seen.
          if (event.currentTarget.matches(':focus-visible') && !getState().past) selectRoute(advice.route_id)
          mark(true)
        }} onBlur={() => mark(false)}>
        <span class="advice__top">
          <LineBadge route={route} routeId={advice.route_id} />
          <b class="advice__vehicle">{shortId(advice.vehicle_id, prefix)}</b>
          <b class="advice__do">{what}</b>
        </span>
        <span class="advice__why">{(advice.reason[language] || advice.reason.en).replaceAll(prefix, '')}</span>
        <Effect advice={advice} />
      </button>
      {open ? <Buttons advice={advice} gone={gone} holdS={holdS} onHold={setChosen} /> : <Outcome advice={gone ? { ...advice, state: 'withdrawn' } : advice} instruction={instruction} />}
    </li>
  )
}
