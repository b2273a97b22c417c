// What was decided in the quarter of an hour before the instant on show: by whom, what, and how far it had come by then.
import { selectRoute, selectVehicle } from '../data/actions'
import { shortId, vehicleKey } from '../data/derive'
import type { Decision, Instruction } from '../data/deskTypes'
import { getState, setState, useStore } from '../data/store'
import { useFormat, useMessages } from '../i18n'
import { LineBadge } from '../ui/badges'
import { Freshness, Panel } from '../ui/freshness'
import { decidedBy } from '../ui/words'
import { OtherDesk } from './advice'
import { Steps } from './steps'

const SHOWN = 60

/** The instruction that a decision led to, as it stood at the instant on show. */
export function instructionOf(decision: Decision): Instruction | null {
  const came = decision.known?.['instruction'] as Partial<Instruction> | undefined
  if (!came?.id || came.created_at === undefined) return null
  return {
    operator_id: decision.operator_id ?? '', vehicle_id: decision.vehicle_id ?? '', route_id: decision.route_id, direction_id: decision.direction_id,
    kind: decision.kind as Instruction['kind'], text: null, hold_s: decision.hold_s, stop_id: null, until_ts: null, by: decision.by,
    advice_id: null, law: decision.law, automatic: decision.state === 'automatic', delivered_at: null, read_at: null, done_at: null, expired_at: null,
    state: 'sent', ...came,
  } as Instruction
}

function useWords(): (decision: Decision) => string {
  const text = useMessages()
  const { integer } = useFormat()
  const stopNames = useStore((state) => state.stopNames)
  return (decision) => {
    const { kinds, modes } = text.desk.control
    const known = decision.known ?? {}
    if (decision.kind === 'mode') return `${kinds['mode']}: ${modes[decision.state as keyof typeof modes] ?? decision.state}`
    const stop = stopNames.get(String(known['stop_id'] ?? ''))
    if (typeof decision.hold_s === 'number' && stop) return text.desk.advice.hold(integer(decision.hold_s), stop)
    if (typeof decision.hold_s === 'number') return text.desk.steps.hold(integer(decision.hold_s))
    return [kinds[decision.kind] ?? decision.kind, typeof known['text'] === 'string' ? known['text'] : ''].filter(Boolean).join(': ')
  }
}

function Item({ decision }: { decision: Decision }) {
  const text = useMessages()
  const { clock } = useFormat()
  const words = useWords()
  const language = useStore((state) => state.language)
  const prefix = useStore((state) => state.fleet.prefix)
  const route = useStore((state) => (decision.route_id ? state.routes.get(decision.route_id) : undefined))
  const instruction = instructionOf(decision)
  const reason = (decision.known?.['reason'] as Record<string, string> | undefined)?.[language]
  const outcome = decision.kind === 'mode' ? null : text.desk.control.outcomes[decision.state] ?? decision.state
  const open = () => {
    const key = vehicleKey({ operator_id: decision.operator_id ?? '', vehicle_id: decision.vehicle_id ?? '' })
    if (getState().fleet.vehicleByKey.has(key)) selectVehicle(key)
    else if (decision.route_id) selectRoute(decision.route_id)
    setState({ tab: 'ladder' })
  }
  return (
    <li class="advice advice--over" data-decision={decision.id} data-item>
      <button type="button" class="advice__what" onClick={open}>
        <span class="advice__top">
          {decision.route_id && <LineBadge route={route} routeId={decision.route_id} />}
          {decision.vehicle_id && <b class="advice__vehicle">{shortId(decision.vehicle_id, prefix)}</b>}
          <b class="advice__do">{words(decision)}</b>
        </span>
        {reason && <span class="advice__why">{reason.replaceAll(prefix, '')}</span>}
      </button>
      <span class="advice__act advice__outcome">
        {outcome && <b>{outcome}</b>}
        <span>{text.desk.advice.by(decidedBy(decision, text), clock(decision.at))}</span>
        {instruction && <Steps instruction={instruction} named />}
      </span>
    </li>
  )
}

/** Stands in the place of the advice while the past is on show. */
export function Done() {
  const text = useMessages()
  const decisions = useStore((state) => state.past?.decisions)
  const open = useStore((state) => state.past?.alerts.filter((alert) => alert.state === 'open').length ?? 0)
  return (
    <Panel id="advice" label={text.desk.past.done} feed="advice" class="desk">
      <div class="panel__head">
        <h2>{text.desk.past.done}</h2>
        <OtherDesk to="alerts" count={open} />
        <Freshness feed="advice" />
      </div>
      {decisions && decisions.length > 0
        ? <ul class="desk__list">{decisions.slice(0, SHOWN).map((one) => <Item key={one.id} decision={one} />)}</ul>
        : <p class="empty">{text.desk.past.nothingDone}</p>}
    </Panel>
  )
}
