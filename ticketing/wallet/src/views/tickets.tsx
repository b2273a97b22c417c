// The tickets of this phone: those at hand first, the past ones folded away.
import { nowS } from '../data/clock'
import { useStore } from '../data/store'
import { atHand, condition, ridesLeft } from '../data/tickets'
import type { Ticket } from '../data/types'
import { useFormat, useMessages } from '../i18n'
import { useSells } from '../payment/form'
import { install } from '../ui/install'
import { NextIcon, TicketIcon } from '../ui/icons'
import { useNow } from '../ui/tick'
import { Outcome, Waiting } from './purchase'

export function Tickets() {
  const text = useMessages()
  const ready = useStore((state) => state.ready)
  const tickets = useStore((state) => state.tickets)
  const attempt = useStore((state) => state.attempt)
  const outcome = useStore((state) => state.outcome)
  const sells = useSells()
  const installable = useStore((state) => state.installable)
  const now = useNow(10_000)
  const near = tickets.filter((ticket) => atHand(ticket, now))
  const past = tickets.filter((ticket) => !atHand(ticket, now))
  return (
    <>
      <h1 data-heading tabIndex={-1}>
        {text.tabs.tickets}
      </h1>
      {attempt && <Waiting attempt={attempt} />}
      {!attempt && <Outcome outcome={outcome} />}
      {ready && near.length === 0 && !attempt && (
        <div class="empty empty--big">
          <TicketIcon />
          <b>{past.length > 0 ? text.noneValid : text.noTickets}</b>
          <p>{sells ? text.noTicketsHint : text.notSold}</p>
          <a class="button button--main" href="#/buy">
            {sells ? text.toShop : text.toPrices}
          </a>
        </div>
      )}
      <ul class="stack">{near.map((ticket) => <Stub key={ticket.id} ticket={ticket} />)}</ul>
      {past.length > 0 && (
        <details class="past">
          <summary>{text.past(past.length)}</summary>
          <ul class="stack">{past.map((ticket) => <Stub key={ticket.id} ticket={ticket} />)}</ul>
        </details>
      )}
      {installable && (
        <button type="button" class="button button--plain button--wide" onClick={install}>
          {text.install}
        </button>
      )}
    </>
  )
}

function Stub({ ticket }: { ticket: Ticket }) {
  const text = useMessages()
  const format = useFormat()
  const language = useStore((state) => state.language)
  const now = nowS()
  const state = condition(ticket, now)
  const left = ridesLeft(ticket)
  return (
    <li>
      <a class="stub" href={`#/t/${ticket.id}`} data-condition={state} data-ticket={ticket.id}>
        <span class="stub__what">
          <span class="stub__row">
            <b>{ticket.product.name[language]}</b>
            <span class="state" data-condition={state}>
              {text.status[state]}
            </span>
          </span>
          <span class="stub__row">
            <small>
              {state === 'early' ? text.validFrom : text.validUntil} {format.moment(state === 'early' ? ticket.validFrom : ticket.validUntil, now)}
            </small>
            {left !== null && state === 'valid' && <small>{text.rides(left)}</small>}
          </span>
        </span>
        <NextIcon />
      </a>
    </li>
  )
}
