// One ticket, as it is held to a validator: its code, what it is worth, and what has just become of it.
import { useEffect, useRef, useState } from 'preact/hooks'
import { CodePanel } from '../code/codePanel'
import { nowS } from '../data/clock'
import { useStore } from '../data/store'
import { askAbout, condition, forgetTicket, ridesLeft, type Condition } from '../data/tickets'
import type { Ticket } from '../data/types'
import { useFormat, useMessages } from '../i18n'
import { CloudOffIcon, EyeIcon, ReceiptIcon, SunIcon } from '../ui/icons'
import { useNow } from '../ui/tick'
import { shortId, where } from '../ui/words'

const ASK_S = 3
/** After so long without news the page asks less often. */
const PATIENT_AFTER_S = 120
const ASK_PATIENTLY_S = 15
const ACCEPTED_SHOWN_S = 6
/** A use that was heard of later than this is history, not news. */
const NEWS_S = 90

export function TicketView({ id }: { id: string }) {
  const text = useMessages()
  const ticket = useStore((state) => state.tickets.find((one) => one.id === id) ?? null)
  const ready = useStore((state) => state.ready)
  if (ticket) return <Opened key={ticket.id} ticket={ticket} />
  return (
    <>
      <h1 data-heading tabIndex={-1}>
        {text.title}
      </h1>
      {ready && <p class="empty">{text.noTicket}</p>}
    </>
  )
}

function Opened({ ticket }: { ticket: Ticket }) {
  const text = useMessages()
  const format = useFormat()
  const language = useStore((state) => state.language)
  const online = useStore((state) => state.online)
  const [shown, setShown] = useState(false)
  const now = useNow()
  const state = condition(ticket, now)
  const accepted = useAccepted(ticket, now)
  useNews(ticket)
  const open = state === 'valid' || (shown && mayBeAsked(state)) || accepted !== null
  return (
    <article class="ticket" data-condition={state}>
      <header class="ticket__head">
        <h1 data-heading tabIndex={-1}>
          {ticket.product.name[language]}
        </h1>
        <span class="state" data-condition={state} role="status">
          {text.status[state]}
        </span>
      </header>
      {open ? <CodePanel ticket={ticket} accepted={accepted} /> : <Closed ticket={ticket} state={state} onShow={() => setShown(true)} />}
      {open && !ticket.product.proof && (
        <p class="note note--warn">
          <EyeIcon /> <span>{text.unboundHint}</span>
        </p>
      )}
      <Facts ticket={ticket} now={now} />
      <p class="ticket__heard">{ticket.heardAt === null ? text.notHeard : text.heard(format.time(ticket.heardAt))}</p>
      {!online && (
        <p class="note note--offline">
          <CloudOffIcon /> <span>{text.offlineTickets}</span>
        </p>
      )}
      {open && online && (
        <p class="note">
          <SunIcon /> <span>{text.bright}</span>
        </p>
      )}
      <nav class="buttons buttons--wide">
        <a class="button" href={`#/receipt/${ticket.id}`}>
          <ReceiptIcon /> {text.receipt}
        </a>
      </nav>
      <Removal ticket={ticket} state={state} />
      <p class="small">{text.keyKept}</p>
      <p class="sr-only" role="status" aria-live="assertive">
        {accepted === null ? '' : `${text.accepted}. ${accepted}`}
      </p>
    </article>
  )
}

/** A controller may ask for the code of a ticket that was good when the ride began. */
const mayBeAsked = (state: Condition) => state === 'used' || state === 'expired'

function Closed({ ticket, state, onShow }: { ticket: Ticket; state: Condition; onShow: () => void }) {
  const text = useMessages()
  const format = useFormat()
  const { refunded_minor: back, refunded_at: at } = ticket.standing ?? {}
  const told = state === 'refunded' && back && at ? text.refundedHint(format.money(back, ticket.product.currency), format.dated(at)) : text.statusHint[state]
  return (
    <section class="closed">
      <p>{told}</p>
      {mayBeAsked(state) && (
        <button type="button" class="button" onClick={onShow}>
          {text.showAnyway}
        </button>
      )}
    </section>
  )
}

function Facts({ ticket, now }: { ticket: Ticket; now: number }) {
  const text = useMessages()
  const format = useFormat()
  const language = useStore((state) => state.language)
  const left = ridesLeft(ticket)
  const { riders = 1 } = ticket.product
  const usedAt = ticket.standing?.last_used_at ?? null
  return (
    <dl class="facts ticket__facts">
      {now < ticket.validFrom && (
        <div>
          <dt>{text.validFrom}</dt>
          <dd>{format.moment(ticket.validFrom, now)}</dd>
        </div>
      )}
      <div>
        <dt>{text.validUntil}</dt>
        <dd>{format.moment(ticket.validUntil, now)}</dd>
      </div>
      <div>
        <dt>{text.left}</dt>
        <dd>{left === null ? text.anyRides : text.ridesLeft(left)}</dd>
      </div>
      {riders > 1 && (
        <div>
          <dt>{text.people}</dt>
          <dd>{text.peopleTogether(riders)}</dd>
        </div>
      )}
      {usedAt !== null && (
        <div>
          <dt>{text.lastUsed}</dt>
          <dd>{text.acceptedAt(format.moment(usedAt, now), placeOf(ticket))}</dd>
        </div>
      )}
      <div>
        <dt>{text.zones}</dt>
        <dd>{where(ticket.product, language, text)}</dd>
      </div>
      <div>
        <dt>{text.number}</dt>
        <dd class="mono">{shortId(ticket.id)}</dd>
      </div>
    </dl>
  )
}

function Removal({ ticket, state }: { ticket: Ticket; state: Condition }) {
  const text = useMessages()
  const [sure, setSure] = useState(false)
  if (state !== 'expired' && state !== 'refunded' && state !== 'revoked' && state !== 'used') return null
  if (!sure) {
    return (
      <button type="button" class="button button--plain button--wide" onClick={() => setSure(true)}>
        {text.remove}
      </button>
    )
  }
  return (
    <section class="outcome" role="alert">
      <p>{text.removeSure}</p>
      <button type="button" class="button button--bad" onClick={() => void forgetTicket(ticket.id).then(() => location.replace('#/'))}>
        {text.remove}
      </button>
    </section>
  )
}

/** Asks how the ticket stands, often at first: who has just tapped wants to see it. */
function useNews(ticket: Ticket): void {
  const latest = useRef(ticket)
  latest.current = ticket
  const uses = ticket.standing?.uses ?? 0
  useEffect(() => {
    const since = nowS()
    let timer: ReturnType<typeof setTimeout>
    let left = false
    const ask = async () => {
      if (!document.hidden) await askAbout([latest.current]).catch(() => undefined)
      if (left) return
      const wait = nowS() - since > PATIENT_AFTER_S ? ASK_PATIENTLY_S : ASK_S
      timer = setTimeout(ask, wait * 1000)
    }
    void ask()
    return () => {
      left = true
      clearTimeout(timer)
    }
  }, [ticket.id, uses])
}

/** Where and when the ticket was accepted, for a moment after it was; null otherwise. */
function useAccepted(ticket: Ticket, now: number): string | null {
  const format = useFormat()
  const text = useMessages()
  const at = ticket.standing?.last_used_at ?? null
  const seenAt = useRef<number | null>(null)
  const told = useRef(at)
  if (at !== null && at !== told.current) {
    told.current = at
    if (now - at < NEWS_S) {
      seenAt.current = now
      navigator.vibrate?.(80)
    }
  }
  if (at === null || seenAt.current === null || now - seenAt.current > ACCEPTED_SHOWN_S) return null
  return text.acceptedAt(format.time(at), placeOf(ticket))
}

/** The vehicle on which the ticket was used last, without its operator. */
const placeOf = (ticket: Ticket): string => ticket.standing?.last_place?.split('/').pop() ?? ''
