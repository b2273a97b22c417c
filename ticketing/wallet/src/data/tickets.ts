// The tickets of this device: read at the start, asked about while there is a network, sorted into what counts and what
// is past.
import { freshCode } from '../code/proof'
import { post, RequestError } from './api'
import { noteServerTime, nowS } from './clock'
import { dropTicket, keepTickets, readTickets } from './database'
import { getState, setState } from './store'
import type { Standing, Ticket } from './types'

/** A used ticket stays at hand for so long: a controller may want to see it. */
const AT_HAND_S = 3 * 3600
const AT_ONCE_MAX = 20

export type Condition = 'valid' | 'early' | 'used' | 'expired' | 'refunded' | 'revoked' | 'suspended'

/** What a ticket is worth now, from its own dates and what was last heard of it. */
export function condition(ticket: Ticket, atS: number): Condition {
  const verdict = ticket.standing?.verdict
  if (typeof ticket.standing?.refunded_minor === 'number') return 'refunded'
  if (verdict === 'revoked' || verdict === 'denied' || verdict === 'unknown') return 'revoked'
  if (atS >= ticket.validUntil) return 'expired'
  if (verdict === 'suspended') return 'suspended'
  if (verdict === 'used_up') return 'used'
  return atS < ticket.validFrom ? 'early' : 'valid'
}

/** Whether a ticket belongs at the top: it opens a door, may do so again, or a controller may ask for it. */
export function atHand(ticket: Ticket, atS: number): boolean {
  const now = condition(ticket, atS)
  if (now === 'used') return atS - (ticket.standing?.last_used_at ?? 0) < AT_HAND_S
  return now !== 'expired' && now !== 'revoked' && now !== 'refunded'
}

export function ridesLeft(ticket: Ticket): number | null {
  if (ticket.product.rides === null) return null
  return Math.max(0, (ticket.standing?.uses_allowed ?? ticket.product.rides) - (ticket.standing?.uses ?? 0))
}

const newestFirst = (tickets: Ticket[]) => [...tickets].sort((a, b) => b.boughtAt - a.boughtAt)

export async function loadTickets(): Promise<void> {
  setState({ tickets: newestFirst(await readTickets()) })
}

export async function forgetTicket(id: string): Promise<void> {
  await dropTicket(id)
  setState({ tickets: getState().tickets.filter((ticket) => ticket.id !== id) })
}

/** Asks how tickets stand, each by a code that only this device can make; says nothing where there is no network. */
export async function askAbout(tickets: Ticket[]): Promise<void> {
  const asked = tickets.slice(0, AT_ONCE_MAX)
  if (asked.length === 0) return
  const sentMs = Date.now()
  const codes = await Promise.all(asked.map((ticket) => freshCode(ticket.token, ticket.key.privateKey, nowS())))
  let told: { as_of: number; tickets: Standing[] }
  try {
    told = (await post<typeof told>('wallet/tickets', { tokens: codes.map((code) => code.text) })).body
  } catch (error) {
    setState({ online: error instanceof RequestError && error.status > 0 })
    return
  }
  noteServerTime(told.as_of, 0, sentMs, Date.now())
  setState({ online: true })
  const heard = asked.flatMap((ticket, index) => {
    const standing = told.tickets[index]
    // A refused code (a stale proof: this clock was wrong) says nothing of the ticket: what was heard before stands.
    return standing && (standing.id !== null || standing.verdict === 'unknown') ? [{ ...ticket, standing, heardAt: told.as_of }] : []
  })
  const byId = new Map(heard.map((ticket) => [ticket.id, ticket]))
  setState({ tickets: getState().tickets.map((ticket) => byId.get(ticket.id) ?? ticket) })
  await keepTickets(heard.filter((ticket) => getState().tickets.some((kept) => kept.id === ticket.id)))
}

/** Asks about every ticket that may still change. */
export const askAboutAll = (): Promise<void> => askAbout(getState().tickets.filter((ticket) => atHand(ticket, nowS())))
