// What passengers are told: the notices in force, the templates that they are made from, and what a dispatcher does to them.
import { get, post, RequestError } from './api'
import type { NoticeTemplate, PassengerNotice } from './deskTypes'
import { noteRefusal } from './session'
import { getState, setState } from './store'

const ASK_MS = 20_000
const ABSENT_MS = 300_000 // a server that has none is asked again after so long, for it may have been replaced

let absentUntil = 0

/** Null until they are known, and for ever where the server has none. */
export async function loadNotices(): Promise<void> {
  if (document.hidden || !getState().session || performance.now() < absentUntil) return
  try {
    const { notices } = await get<{ notices: PassengerNotice[] }>('notices')
    setState({ notices })
  } catch (error) {
    if (error instanceof RequestError && (error.status === 404 || error.status === 403)) {
      absentUntil = performance.now() + ABSENT_MS
      setState({ notices: null })
    }
  }
}

export function startNotices(): void {
  setInterval(() => void loadNotices(), ASK_MS)
}

export async function loadTemplates(): Promise<NoticeTemplate[]> {
  const { templates } = await get<{ templates: NoticeTemplate[] }>('notices/templates')
  return templates
}

export interface NoticeDraft {
  template: string
  route_ids: string[]
  stop_ids: string[]
  trip_ids: string[]
  from: number | null
  until: number | null
  values: Record<string, string>
}

async function changed(work: Promise<unknown>): Promise<void> {
  try {
    await work
  } catch (error) {
    noteRefusal(error)
    throw error
  }
  await loadNotices()
}

/** Publishes a notice in both languages; throws a RequestError that says what is wrong with it. */
export const publishNotice = (draft: NoticeDraft): Promise<void> => changed(post('notices', draft))

export const closeNotice = (notice: PassengerNotice): Promise<void> => changed(post(`notices/${encodeURIComponent(notice.id)}/close`))

/** Those that passengers are shown now or will be, newest first. */
export const inForce = (notices: PassengerNotice[], nowS: number): PassengerNotice[] =>
  notices
    .filter((one) => one.closed_at === null && (one.until === null || one.until > nowS))
    .sort((a, b) => b.created_at - a.created_at)

/** A template's text with the values put in, and a gap that is seen to be one where a value is still missing. */
export const filled = (text: string, values: Record<string, string>): string =>
  text.replace(/\{(\w+)\}/g, (_, name: string) => values[name]?.trim() || '[…]')
