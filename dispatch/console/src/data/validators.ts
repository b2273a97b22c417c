// How validators are: whose clocks are wrong and whose lists are old. Asked for now and then by who is signed in.
import { get, RequestError } from './api'
import { noteRefusal } from './session'
import { getState, setState } from './store'

const ASK_MS = 30_000

/** Ages in seconds; null: the validator has no such list. */
export interface ListAges {
  keys: number | null
  status: number | null
  deny: number | null
}

export interface Validators {
  as_of: number
  reporting: number
  oldest_s: ListAges
  old: number
  old_lists: { operator: string; validator: string; heard_at: number; ages_s: ListAges }[]
  wrong: number
  wrong_clocks: { operator: string; validator: string; behind_s: number; heard_at: number }[]
  clock_taps: number
  clock_unknown_taps: number
}

export async function loadValidators(): Promise<void> {
  if (document.hidden || !getState().session) return
  try {
    setState({ validators: await get<Validators>('validators') })
  } catch (error) {
    noteRefusal(error)
    // An older server has none, and not every role may see them: then there is nothing to show.
    if (error instanceof RequestError && (error.status === 404 || error.status === 403)) setState({ validators: null })
  }
}

export function startValidators(): void {
  setInterval(() => void loadValidators(), ASK_MS)
}
