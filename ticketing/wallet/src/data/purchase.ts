// Buying: one attempt at a time, written down before it is sent, and sent until there is an answer. The server knows an
// attempt by its key, so sending it again, after a reload or from another tab, never buys twice.
import { makeDeviceKey } from '../code/device'
import { get, post, RequestError } from './api'
import { nowS } from './clock'
import { dropAttempt, exchange, keepAttempt, readAttempts, startAttempt } from './database'
import { getState, setState, type Outcome } from './store'
import { loadTickets } from './tickets'
import type { Attempt, Product, Receipt, Ticket } from './types'

/** Between one request and the next; the last one for ever, while the page is open. */
const WAITS_S = [1, 1, 2, 2, 4, 4, 8, 8, 15, 15, 30]
/** One request in so many sends the purchase again; the others only look how it stands. */
const SEND_EVERY = 4
/** So many requests without an answer, and the page says that it does not know. */
const UNSURE_AFTER = 5
/** After so long (s) an attempt without any answer may be given up by hand. */
export const GIVE_UP_S = 600

/** What the server answers: how the payment stands, and the ticket once it is paid. */
interface Purchase {
  purchase_id: string
  payment: 'pending' | 'approved' | 'declined' | 'returned'
  reason: string | null
  id: string | null
  token: string | null
  valid_from: number | null
  valid_until: number | null
  receipt: Receipt | null
}

/** A purchase that is paid. */
interface Paid extends Purchase {
  id: string
  token: string
  valid_from: number
  valid_until: number
}

const paid = (purchase: Purchase): purchase is Paid => purchase.id !== null && purchase.token !== null

/** What one tab tells the others: that something has changed, and how a purchase ended. */
interface News {
  ended?: { key: string; ticketId: string | null; outcome: Outcome }
}

const others = 'BroadcastChannel' in window ? new BroadcastChannel('takt-wallet') : null
const tell = (news: News) => others?.postMessage(news)
let starting = false
let resuming = false
/** True in the one tab that sends. */
let driving = false
/** Somebody asked to take up what is written down while that was being done: it is looked at once more. */
let again = false
/** The attempt whose first request has had no other fate yet: a refusal of it says that nothing was bought. */
let unsent: string | null = null

/** Starts to buy; a second tap while one purchase is under way does nothing. */
export async function buy(product: Product, methodToken: string): Promise<void> {
  if (getState().attempt || starting) return
  starting = true
  const key = crypto.randomUUID()
  try {
    const device = await makeDeviceKey()
    const attempt: Attempt = {
      key,
      product,
      methodToken,
      deviceKey: device.key,
      jwk: device.jwk,
      startedAt: nowS(),
      purchaseId: null,
    }
    setState({ attempt, progress: 'sending', outcome: null })
    const under = await startAttempt(attempt)
    if (under === attempt) unsent = key
    else show(under)
    tell({})
    void navigator.storage?.persist?.().catch(() => false) // a browser short of room should not throw tickets away
  } catch (error) {
    setState({ attempt: null, outcome: { kind: 'refused', status: 0, reason: String(error) } })
    return
  } finally {
    starting = false
  }
  await resume()
}

/** Takes up the purchase that is written down, if there is one; while another tab is at it, waits to take its place. */
export async function resume(): Promise<void> {
  again = true
  if (resuming) return
  resuming = true
  try {
    while (again) {
      again = false
      const attempt = await next()
      show(attempt)
      if (attempt && navigator.locks) await navigator.locks.request('takt-wallet-purchase', drive)
      else await drive()
    }
  } finally {
    resuming = false
  }
}

/** Shows the purchase that is under way, in this tab or in another. */
const show = (attempt: Attempt | null) => setState({ attempt, progress: attempt?.purchaseId ? 'pending' : 'sending' })

async function drive(): Promise<void> {
  driving = true
  try {
    for (let attempt = await next(); attempt; attempt = await next()) {
      show(attempt)
      await settle(attempt)
    }
    setState({ attempt: null })
  } finally {
    driving = false
  }
}

const next = async (): Promise<Attempt | null> => (await readAttempts())[0] ?? null

/** Sends an attempt until it is decided, or given up by hand. */
async function settle(attempt: Attempt): Promise<void> {
  let unanswered = 0
  for (let tries = 0; (await next())?.key === attempt.key; tries++) {
    try {
      const { body } = await ask(attempt, tries)
      if (paid(body)) return await finish(attempt, body)
      if (body.payment !== 'pending') throw new RequestError(402, body.reason ?? '')
      await noteId(attempt, body)
      unsent = null
      unanswered = 0
      setState({ progress: 'pending', online: true })
    } catch (error) {
      if (!(error instanceof RequestError)) throw error
      if (await decided(attempt, error)) return
      unsent = null
      if (++unanswered >= UNSURE_AFTER) setState({ progress: 'unsure' })
    }
    await pause(WAITS_S[Math.min(tries, WAITS_S.length - 1)]!)
  }
}

/** A payment under way is looked at; now and then it is sent again, which has the server ask the bank once more. */
const ask = (attempt: Attempt, tries: number) =>
  attempt.purchaseId && tries % SEND_EVERY !== 0
    ? get<Purchase>(`purchases/${encodeURIComponent(attempt.purchaseId)}`)
    : post<Purchase>(
        'purchases',
        { product_id: attempt.product.id, device_key: attempt.jwk, payment: { method_token: attempt.methodToken } },
        { 'Idempotency-Key': attempt.key },
      )

async function noteId(attempt: Attempt, { purchase_id }: Purchase): Promise<void> {
  if (attempt.purchaseId) return
  attempt.purchaseId = purchase_id
  await keepAttempt(attempt)
  tell({})
}

async function finish(attempt: Attempt, purchase: Paid): Promise<void> {
  const ticket: Ticket = {
    id: purchase.id,
    token: purchase.token,
    product: attempt.product,
    validFrom: purchase.valid_from,
    validUntil: purchase.valid_until,
    boughtAt: nowS(),
    purchaseId: purchase.purchase_id,
    receipt: purchase.receipt,
    key: attempt.deviceKey,
    standing: null,
    heardAt: null,
  }
  await exchange(attempt, ticket)
  tell({ ended: { key: attempt.key, ticketId: ticket.id, outcome: null } })
  await loadTickets()
  setState({ attempt: null, outcome: null, online: true })
  openTicket(ticket.id)
}

/** Only who is still waiting here is taken to the ticket; the back button then leads home, not to the shop's sheet. */
function openTicket(id: string): void {
  const { view } = getState()
  if (view.at === 'product' || view.at === 'shop') location.replace(`#/t/${id}`)
}

/** Whether an error decides the attempt. What may pass by itself does not: no network, too many requests, a server ill.
 *  Once a request is out, nothing but the bank's own word does: an earlier one may have been paid for. */
async function decided(attempt: Attempt, error: RequestError): Promise<boolean> {
  setState({ online: error.status > 0 })
  const declined = error.status === 402
  const passing = error.status === 0 || error.status === 408 || error.status === 429 || error.status >= 500
  if (passing || (!declined && attempt.key !== unsent)) return false
  await dropAttempt(attempt.key)
  const outcome: Outcome = declined ? { kind: 'declined', reason: error.message } : { kind: 'refused', status: error.status, reason: error.message }
  tell({ ended: { key: attempt.key, ticketId: null, outcome } })
  setState({ attempt: null, outcome })
  return true
}

/** Gives an attempt up that never had an answer; the page asks first. */
export async function giveUp(): Promise<void> {
  const { attempt } = getState()
  if (!attempt) return
  await dropAttempt(attempt.key)
  tell({})
  setState({ attempt: null, outcome: null })
  wake()
}

let wake: () => void = () => undefined

/** Asks now instead of after the pause, or takes the purchase up where nobody does. */
export function askNow(): void {
  wake()
  void resume()
}

/** Waits, but not longer than until the network is back or somebody asks. */
function pause(seconds: number): Promise<void> {
  return new Promise((resolve) => {
    wake = () => {
      clearTimeout(timer)
      window.removeEventListener('online', wake)
      resolve()
    }
    const timer = setTimeout(wake, seconds * 1000)
    window.addEventListener('online', wake)
  })
}

/** Another tab buys or has bought: show it, and what it brought. */
export function followOtherTabs(): void {
  others?.addEventListener('message', ({ data: { ended } }: MessageEvent<News>) => void follow(ended))
}

async function follow(ended: News['ended']): Promise<void> {
  await loadTickets()
  const waited = getState().attempt?.key
  if (ended && ended.key === waited) {
    setState({ outcome: ended.outcome })
    if (ended.ticketId) openTicket(ended.ticketId)
  }
  if (!driving) show(await next())
  await resume()
}
