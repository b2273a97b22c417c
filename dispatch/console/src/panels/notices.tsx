// Notices to passengers: what they are told now, and a new one from a template, for lines and stops, for a time.
import { useEffect, useState } from 'preact/hooks'
import type { NoticeTemplate, PassengerNotice } from '../data/deskTypes'
import { closeNotice, filled, inForce, loadTemplates, publishNotice } from '../data/notices'
import { getState, useStore, type Language } from '../data/store'
import { useFormat, useMessages } from '../i18n'
import { useAttempt } from '../ui/attempt'
import { LineBadge } from '../ui/badges'
import { serverNow } from '../ui/clock'
import { closeDialog, Modal } from '../ui/modal'
import { instantOf, wallOf } from '../ui/zone'

function Selected({ notice }: { notice: PassengerNotice }) {
  const routes = useStore((state) => state.routes)
  const stopNames = useStore((state) => state.stopNames)
  return (
    <span class="chips">
      {notice.route_ids.map((id) => <LineBadge key={id} route={routes.get(id)} routeId={id} />)}
      {notice.stop_ids.map((id) => <span key={id} class="chip chip--still">{stopNames.get(id) ?? id}</span>)}
      {notice.trip_ids.map((id) => <span key={id} class="chip chip--still">{id}</span>)}
    </span>
  )
}

function Current({ notice }: { notice: PassengerNotice }) {
  const text = useMessages().desk.notices
  const { moment } = useFormat()
  const language = useStore((state) => state.language)
  const signedIn = useStore((state) => state.session !== null)
  const { busy, attempt } = useAttempt()
  return (
    <li class="told" data-notice={notice.id}>
      <span class="told__words">
        <b>{notice.header[language] || notice.header.en}</b>
        <span>{notice.description[language] || notice.description.en}</span>
        <span class="told__meta">
          {text.period(notice.from === null ? text.now : moment(notice.from), notice.until === null ? text.untilClosed : moment(notice.until))}
          {notice.created_by ? ` · ${text.by(notice.created_by)}` : ''}
        </span>
        <Selected notice={notice} />
      </span>
      {signedIn && <button type="button" class="button button--small" disabled={busy} onClick={() => void attempt(() => closeNotice(notice), text.closed)}>{text.close}</button>}
    </li>
  )
}

interface PickProps {
  name: string
  label: string
  chosen: string[]
  options: [string, string][]
  nameOf: (id: string) => string
  onChange: (ids: string[]) => void
}

/** Chips of what is chosen, and a list to choose more from. */
function Pick({ name, label, chosen, options, nameOf, onChange }: PickProps) {
  const text = useMessages().desk.notices
  return (
    <div class="pick">
      <label>{label}
        <select class="input" name={name} value="" onChange={(event) => event.currentTarget.value && onChange([...chosen, event.currentTarget.value])}>
          <option value="">{text.add}…</option>
          {options.filter(([id]) => !chosen.includes(id)).map(([id, shown]) => <option key={id} value={id}>{shown}</option>)}
        </select>
      </label>
      {chosen.length > 0 && (
        <span class="chips">
          {chosen.map((id) => (
            <button key={id} type="button" class="chip" aria-label={text.remove(nameOf(id))} title={text.remove(nameOf(id))} onClick={() => onChange(chosen.filter((one) => one !== id))}>{nameOf(id)} ×</button>
          ))}
        </span>
      )}
    </div>
  )
}

const HOURS = [0.5, 1, 2, 4]

/** Until when, by the choice of the form; null: until somebody closes it. */
function untilOf(choice: string, from: number, zone: string): number | null {
  if (choice === 'closed') return null
  if (choice === 'day') return instantOf(wallOf(from + 86_400, zone).day, '03:00', zone)
  return Math.round(from + Number(choice) * 3600)
}

function Preview({ template, values }: { template: NoticeTemplate; values: Record<string, string> }) {
  return (
    <div class="preview">
      {(['uk', 'en'] as const).map((language) => (
        <div key={language} lang={language}>
          <small>{language === 'uk' ? 'Українською' : 'English'}</small>
          <b>{filled(template.header[language], values)}</b>
          <p>{filled(template.description[language], values)}</p>
        </div>
      ))}
    </div>
  )
}

/** What the list calls a template: its header, unless that is all left to the dispatcher. */
function nameOf(template: NoticeTemplate, language: Language, ownWords: string): string {
  const header = template.header[language] || template.header.en
  return /^\{\w+\}$/.test(header) ? ownWords : header.replace(/\{\w+\}/g, '…')
}

/** Where the form begins: with what is selected on the page. */
function fromSelection(): { routes: string[]; stops: string[]; trips: string[] } {
  const { selectedRoute } = getState()
  return { routes: selectedRoute ? [selectedRoute] : [], stops: [], trips: [] }
}

function stopsOf(routes: string[]): [string, string][] {
  const { line, map } = getState()
  const names = new Map<string, string>()
  if (line && routes.includes(line.route_id)) {
    for (const direction of line.directions) for (const stop of direction.stops) names.set(stop.stop_id, `${stop.name} → ${direction.headsign}`)
  } else {
    for (const { properties } of map?.stops.features ?? []) names.set(properties.stop_id, properties.name)
  }
  return [...names].sort((a, b) => (line ? 0 : a[1].localeCompare(b[1], 'uk')))
}

function Make({ templates }: { templates: NoticeTemplate[] }) {
  const text = useMessages().desk.notices
  const language = useStore((state) => state.language)
  const routes = useStore((state) => state.routes)
  const stopNames = useStore((state) => state.stopNames)
  const zone = useStore((state) => state.instance?.timezone ?? 'UTC')
  const [templateId, setTemplateId] = useState(templates[0]?.id ?? '')
  const [chosen, setChosen] = useState(fromSelection)
  const [values, setValues] = useState<Record<string, string>>({})
  const [until, setUntil] = useState('2')
  const [tried, setTried] = useState(false)
  const { busy, attempt } = useAttempt()
  const template = templates.find((one) => one.id === templateId) ?? templates[0]
  if (!template) return null
  const routeName = (id: string) => routes.get(id)?.short_name || id
  const nothing = chosen.routes.length + chosen.stops.length + chosen.trips.length === 0
  const { line, fleet, selectedVehicle } = getState()
  const trip = selectedVehicle ? fleet.vehicleByKey.get(selectedVehicle)?.trip_id : null
  const submit = async (event: Event) => {
    event.preventDefault()
    setTried(true)
    if (nothing) return
    const from = Math.floor(serverNow())
    // Values that belong to a template chosen before are not this one's.
    const own = Object.fromEntries(template.fields.map(({ name }) => [name, (values[name] ?? '').trim()]))
    const draft = { template: template.id, route_ids: chosen.routes, stop_ids: chosen.stops, trip_ids: chosen.trips, from: null, until: untilOf(until, from, zone), values: own }
    if (await attempt(() => publishNotice(draft), text.published)) {
      setValues({})
      setTried(false)
    }
  }
  return (
    <form class="form" onSubmit={(event) => void submit(event)} aria-label={text.make}>
      <div class="form__row">
        <label>{text.template}
          <select class="input" name="template" value={template.id} onChange={(event) => setTemplateId(event.currentTarget.value)}>
            {templates.map((one) => <option key={one.id} value={one.id}>{nameOf(one, language, text.ownWords)}</option>)}
          </select>
        </label>
        <label>{text.until}
          <select class="input" name="until" value={until} onChange={(event) => setUntil(event.currentTarget.value)}>
            {HOURS.map((hours) => <option key={hours} value={String(hours)}>{text.forHours(hours)}</option>)}
            <option value="day">{text.endOfDay}</option>
            <option value="closed">{text.untilClosed}</option>
          </select>
        </label>
      </div>
      <div class="form__row">
        <Pick name="routes" label={text.routes} chosen={chosen.routes} nameOf={routeName} onChange={(ids) => setChosen({ ...chosen, routes: ids })}
          options={[...routes.values()].map((route): [string, string] => [route.route_id, `${route.short_name} ${route.long_name}`.trim()]).sort((a, b) => a[1].localeCompare(b[1], 'uk', { numeric: true }))} />
        <Pick name="stops" label={text.stops} chosen={chosen.stops} nameOf={(id) => stopNames.get(id) ?? id} onChange={(ids) => setChosen({ ...chosen, stops: ids })} options={stopsOf(chosen.routes)} />
      </div>
      {trip && line && <Pick name="trips" label={text.trips} chosen={chosen.trips} nameOf={(id) => id} onChange={(ids) => setChosen({ ...chosen, trips: ids })} options={[[trip, trip]]} />}
      {template.fields.map((field) => (
        <label key={`${template.id} ${field.name}`}>{field.label[language] || field.label.en}
          <input class="input" name={field.name} required maxLength={200} value={values[field.name] ?? ''} onInput={(event) => setValues({ ...values, [field.name]: event.currentTarget.value })} />
        </label>
      ))}
      <h3 class="form__part">{text.preview}</h3>
      <Preview template={template} values={values} />
      {tried && nothing && <p class="form__problem" role="alert">{text.pickOne}</p>}
      <div class="form__buttons"><button type="submit" class="button button--primary" disabled={busy}>{text.publish}</button></div>
    </form>
  )
}

export function NoticesDialog() {
  const messages = useMessages()
  const text = messages.desk.notices
  const notices = useStore((state) => state.notices)
  const signedIn = useStore((state) => state.session !== null)
  const [templates, setTemplates] = useState<NoticeTemplate[] | null>(null)
  useEffect(() => {
    let wanted = true
    // Who may not write them (403) still sees the list.
    if (signedIn) loadTemplates().then((list) => wanted && setTemplates(list)).catch(() => undefined)
    return () => {
      wanted = false
    }
  }, [signedIn])
  const current = inForce(notices ?? [], serverNow())
  return (
    <Modal wide label={text.title}>
      <h3 class="form__part">{text.current}</h3>
      {current.length > 0 ? <ul class="told__list">{current.map((one) => <Current key={one.id} notice={one} />)}</ul> : <p class="form__hint">{text.none}</p>}
      {templates && templates.length > 0 && (
        <>
          <h3 class="form__part">{text.make}</h3>
          <Make templates={templates} />
        </>
      )}
      <div class="form__buttons"><button type="button" class="button" onClick={closeDialog}>{messages.close}</button></div>
    </Modal>
  )
}
