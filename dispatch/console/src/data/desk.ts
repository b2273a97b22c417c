// Advice, instructions and control of lines: the stream brings them, plain requests where it does not, actions change them.
import { get, post, put, RequestError } from './api'
import type { Advice, AdviceMessage, ControlMessage, ControlMode, Decision, Instruction, InstructionsMessage, LineControl } from './deskTypes'
import { noteRefusal } from './session'
import { streamCarries } from './stream'
import { applyAdvice, applyInstructions, getState, setState } from './store'
import { applyControl } from './trend'

type DeskFeed = 'advice' | 'instructions' | 'control'

const ASK_MS = 2_000
const QUIET_MS = 4_000
const CARRIED_MS = 60_000 // what the stream brings as it changes is asked for seldom, in case a change was lost
const ABSENT_MS = 60_000 // a server that has none is asked again after so long, for it may have been replaced

const APPLY: Record<DeskFeed, (message: never) => void> = {
  advice: (message: AdviceMessage) => applyAdvice(message),
  instructions: (message: InstructionsMessage) => applyInstructions(message),
  control: (message: ControlMessage) => applyControl(message),
}
const FEEDS = Object.keys(APPLY) as DeskFeed[]

const askedAt: Record<DeskFeed, number> = { advice: -Infinity, instructions: -Infinity, control: -Infinity }
const absentUntil: Record<DeskFeed, number> = { advice: 0, instructions: 0, control: 0 }
const busy = new Set<DeskFeed>()

async function ask(feed: DeskFeed): Promise<void> {
  busy.add(feed)
  askedAt[feed] = performance.now()
  try {
    const message = await get<never>(feed)
    if (getState().session) APPLY[feed](message)
  } catch (error) {
    // An older server has none (404), a role may not see it (403): the panel is then not there.
    if (error instanceof RequestError && (error.status === 404 || error.status === 403)) {
      absentUntil[feed] = performance.now() + ABSENT_MS
      setState({ [feed]: null })
    }
    noteRefusal(error)
  } finally {
    busy.delete(feed)
  }
}

/** Asks for what the stream has not brought lately. */
export function loadDesk(): void {
  const { session, freshAt } = getState()
  if (!session || document.hidden) return
  const now = performance.now()
  for (const feed of FEEDS) {
    const quiet = streamCarries(feed) ? now - askedAt[feed] >= CARRIED_MS : now - Math.max(freshAt[feed], askedAt[feed]) >= QUIET_MS
    if (quiet && now >= absentUntil[feed] && !busy.has(feed)) void ask(feed)
  }
}

/** Asks for all of it now: after a login, and after an action whose effect the stream would bring a little later. */
export function refreshDesk(): void {
  for (const feed of FEEDS) askedAt[feed] = -Infinity
  const { session } = getState()
  if (session) for (const feed of FEEDS) if (!busy.has(feed)) void ask(feed)
}

export function startDesk(): void {
  setInterval(loadDesk, ASK_MS)
}

function replaceAdvice(answer: Advice | null): void {
  const message = getState().advice
  if (message && answer?.id) setState({ advice: { ...message, advice: message.advice.map((one) => (one.id === answer.id ? answer : one)) } })
}

async function decide(advice: Advice, what: 'apply' | 'decline', body: object): Promise<void> {
  try {
    replaceAdvice(await post<Advice | null>(`advice/${encodeURIComponent(advice.id)}/${what}`, body))
  } catch (error) {
    noteRefusal(error)
    throw error
  } finally {
    refreshDesk()
  }
}

/** Sends the seconds that the dispatcher has seen, for advice follows what is known while it is open; throws a RequestError (409: it is no longer open). */
export const applyAdviceTo = (advice: Advice, holdS: number): Promise<void> => decide(advice, 'apply', { hold_s: holdS })

export const declineAdvice = (advice: Advice, reason = ''): Promise<void> => decide(advice, 'decline', reason ? { reason } : {})

/** Sets how a line is controlled; throws a RequestError when refused. */
export async function setControl(routeId: string, mode: ControlMode, law: string | null): Promise<void> {
  try {
    const row = await put<LineControl | null>(`routes/${encodeURIComponent(routeId)}/control`, law ? { mode, law } : { mode })
    const message = getState().control
    if (message && row?.route_id) {
      setState({ control: { ...message, lines: message.lines.map((line) => (line.route_id === row.route_id ? row : line)) } })
    }
  } catch (error) {
    noteRefusal(error)
    throw error
  } finally {
    refreshDesk()
  }
}

const DECISIONS_S = 2 * 3600
const DECISIONS_SHOWN = 200

/** The decisions of a line in the last two hours, newest first. */
export async function loadDecisions(routeId: string, nowS: number): Promise<Decision[]> {
  const query = new URLSearchParams({ from: String(Math.floor(nowS - DECISIONS_S)), to: String(Math.ceil(nowS + 1)), route_id: routeId })
  const { decisions } = await get<{ decisions: Decision[] }>(`decisions?${query}`)
  return decisions.sort((a, b) => b.at - a.at).slice(0, DECISIONS_SHOWN)
}

export const TOLD_S = 180 // how long a finished instruction is still shown at its vehicle

/** The newest instruction of a vehicle that is under way or has just ended. */
export function currentInstruction(instructions: Instruction[], operatorId: string, vehicleId: string, nowS: number): Instruction | null {
  let newest: Instruction | null = null
  for (const one of instructions) {
    if (one.vehicle_id !== vehicleId || one.operator_id !== operatorId) continue
    const endedAt = one.done_at ?? one.expired_at ?? (one.kind === 'message' ? one.read_at : null) ?? (one.state === 'failed' ? one.created_at : null)
    if (endedAt !== null && nowS - endedAt > TOLD_S) continue
    if (!newest || one.created_at > newest.created_at) newest = one
  }
  return newest
}
