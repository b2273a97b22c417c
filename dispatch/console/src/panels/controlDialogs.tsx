// The second word before a line is controlled automatically, and the list of what was decided on a line.
import { useEffect, useState } from 'preact/hooks'
import { loadDecisions, setControl } from '../data/desk'
import type { Decision } from '../data/deskTypes'
import { shortId } from '../data/derive'
import { useStore } from '../data/store'
import { duration, useFormat, useMessages } from '../i18n'
import { useAttempt } from '../ui/attempt'
import { LineBadge } from '../ui/badges'
import { serverNow } from '../ui/clock'
import { closeDialog, Modal } from '../ui/modal'
import { decidedBy } from '../ui/words'
import { Figures } from './controlBar'
import { TrendChart } from './trendChart'

export function AutomaticDialog({ routeId, law: first }: { routeId: string; law: string }) {
  const messages = useMessages()
  const text = messages.desk.control
  const control = useStore((state) => state.control)
  const route = useStore((state) => state.routes.get(routeId))
  const [law, setLaw] = useState(first)
  const { busy, attempt } = useAttempt()
  const line = control?.lines.find((one) => one.route_id === routeId)
  if (!control || !line) return null
  const confirm = async (event: Event) => {
    event.preventDefault()
    if (await attempt(() => setControl(routeId, 'automatic', law), text.changed(line.short_name, text.modes.automatic))) closeDialog()
  }
  return (
    <Modal label={text.confirm(line.short_name)}>
      <form class="form" onSubmit={(event) => void confirm(event)}>
        <p class="form__line"><LineBadge route={route} routeId={routeId} /> {route?.long_name}</p>
        <p>{text.confirmText}</p>
        <label>{text.law}
          <select class="input" value={law} onChange={(event) => setLaw(event.currentTarget.value)}>
            {control.laws.map((one) => <option key={one} value={one}>{text.laws[one] ?? one}</option>)}
          </select>
        </label>
        <p class="form__hint form__hint--two">{text.lawHints[law] ?? ''}</p>
        <div class="control__row control__row--figures"><Figures line={line} /></div>
        <div class="form__buttons">
          <button type="button" class="button" onClick={closeDialog}>{messages.cancel}</button>
          <button type="submit" class="button button--primary" disabled={busy}>{text.confirmButton}</button>
        </div>
      </form>
    </Modal>
  )
}

const FIGURES_SHOWN = 32
// Said in words beside the figures, or of no use to a person.
const NOT_FIGURES = new Set(['reason', 'instruction', 'id', 'switched_by'])

const rounded = (value: unknown): string => (typeof value === 'number' ? String(Number(value.toPrecision(4))) : typeof value === 'string' ? value : JSON.stringify(value))

/** What was known, as name and value; seconds as a length of time, for nobody reads 213.4 as three and a half minutes. */
function knownOf(known: Record<string, unknown>): [string, string][] {
  const rows: [string, string][] = []
  const walk = (name: string, value: unknown) => {
    if (rows.length >= FIGURES_SHOWN || value === null || value === undefined || NOT_FIGURES.has(name)) return
    if (Array.isArray(value)) rows.push([name, value.slice(0, 6).map(rounded).join(', ')])
    else if (typeof value === 'object') for (const [inner, one] of Object.entries(value)) walk(name && !name.startsWith('situation') ? `${name}.${inner}` : inner, one)
    else rows.push([name, typeof value === 'number' && name.endsWith('_s') && !name.endsWith('_per_s') ? duration(value) : rounded(value)])
  }
  walk('', known)
  return rows
}

/** How far the instruction of a decision had come when it was over. */
function Came({ instruction }: { instruction: unknown }) {
  const text = useMessages().desk.steps
  const { clock } = useFormat()
  if (typeof instruction !== 'object' || instruction === null) return null
  const times = instruction as Record<string, unknown>
  const said = (['delivered', 'read', 'done', 'expired'] as const).flatMap((step) => {
    const at = times[`${step}_at`]
    return typeof at === 'number' ? [text.at(text[step], clock(at))] : []
  })
  return said.length > 0 ? <p>{said.join(', ')}</p> : null
}

function Row({ decision }: { decision: Decision }) {
  const messages = useMessages()
  const text = messages.desk.control
  const { clock, integer } = useFormat()
  const prefix = useStore((state) => state.fleet.prefix)
  const language = useStore((state) => state.language)
  const [open, setOpen] = useState(false)
  const known = decision.known ?? {}
  const figures = knownOf(known)
  const reason = (known['reason'] as Record<string, string> | undefined)?.[language]
  return (
    <>
      <tr data-decision={decision.id}>
        <td>{clock(decision.at)}</td>
        <td><b>{shortId(decision.vehicle_id?.split('/').at(-1) ?? '', prefix)}</b></td>
        <td>{typeof decision.hold_s === 'number' ? messages.desk.steps.hold(integer(decision.hold_s)) : text.kinds[decision.kind] ?? decision.kind}</td>
        <td>{decision.law ? text.laws[decision.law] ?? decision.law : '–'}</td>
        <td>{decidedBy(decision, messages)}</td>
        <td>{text.outcomes[decision.state] ?? decision.state}</td>
        <td>{figures.length > 0 && (
          <button type="button" class="button button--icon button--bare" aria-expanded={open} aria-label={text.known} title={text.known} onClick={() => setOpen(!open)}>{open ? '▴' : '▾'}</button>
        )}</td>
      </tr>
      {open && (
        <tr class="decisions__known"><td colSpan={7}>
          {reason && <p><b>{reason}</b></p>}
          <Came instruction={known['instruction']} />
          <dl>{figures.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>
        </td></tr>
      )}
    </>
  )
}

const REFRESH_MS = 5_000

export function DecisionsDialog({ routeId }: { routeId: string }) {
  const messages = useMessages()
  const text = messages.desk.control
  const { integer } = useFormat()
  const route = useStore((state) => state.routes.get(routeId))
  const line = useStore((state) => state.control?.lines.find((one) => one.route_id === routeId))
  const [decisions, setDecisions] = useState<Decision[] | null>(null)
  const [problem, setProblem] = useState<string | null>(null)
  useEffect(() => {
    let wanted = true
    const load = () => {
      loadDecisions(routeId, serverNow())
        .then((list) => wanted && (setDecisions(list), setProblem(null)))
        .catch((error: unknown) => wanted && setProblem(error instanceof Error ? error.message : String(error)))
    }
    load()
    const timer = setInterval(load, REFRESH_MS)
    return () => {
      wanted = false
      clearInterval(timer)
    }
  }, [routeId])
  const { at, vehicle, what, law, by, state } = text.columns
  return (
    <Modal wide label={text.decisionsOf(route?.short_name ?? routeId)}>
      {line && (
        <div class="control__row control__row--figures" data-mode={line.mode}>
          <Figures line={line} />
          <span class="control__counts">{text.counts(integer(line.advised), integer(line.applied), integer(line.declined))}</span>
        </div>
      )}
      {line && line.ewt_s !== null && <TrendChart line={line} height={150} axes />}
      {problem && <p class="form__problem" role="alert">{messages.failed(problem)}</p>}
      <div class="decisions" tabIndex={0}>
        {decisions && decisions.length > 0 ? (
          <table>
            <thead><tr><th>{at}</th><th>{vehicle}</th><th>{what}</th><th>{law}</th><th>{by}</th><th>{state}</th><th /></tr></thead>
            <tbody>{decisions.map((one) => <Row key={one.id} decision={one} />)}</tbody>
          </table>
        ) : !problem && <p class="empty">{decisions ? text.noDecisions : messages.noData}</p>}
      </div>
      <div class="form__buttons"><button type="button" class="button" onClick={closeDialog}>{messages.close}</button></div>
    </Modal>
  )
}
