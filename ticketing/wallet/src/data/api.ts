// Requests to the HTTP interface: JSON in and out, problem documents as errors, nothing waits longer than fifteen seconds.
import { noteServerTime } from './clock'

const LIMIT_MS = 15_000

/** Addresses are relative to the page, so that the product may live behind a path prefix. */
const address = (path: string): string => new URL(`api/v1/${path}`, document.baseURI).href

/** A refused request: `status` is the HTTP status, or 0 when no answer came; the message is for people. */
export class RequestError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message)
  }
}

async function refusal(response: Response): Promise<RequestError> {
  const fallback = `${response.status} ${response.statusText}`.trim()
  try {
    const problem = (await response.json()) as { title?: string; detail?: string }
    return new RequestError(response.status, problem.detail || problem.title || fallback)
  } catch {
    return new RequestError(response.status, fallback)
  }
}

export interface Reply<T> {
  status: number
  body: T
}

async function request<T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Reply<T>> {
  if (!navigator.onLine) throw new RequestError(0, 'no network')
  const sentMs = Date.now()
  try {
    const response = await fetch(address(path), {
      method,
      credentials: 'omit',
      cache: 'no-store', // an answer from memory would carry an old clock
      signal: AbortSignal.timeout(LIMIT_MS),
      headers: { ...headers, ...(body === undefined ? {} : { 'Content-Type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const date = Date.parse(response.headers.get('Date') ?? '')
    // The header counts whole seconds, so it is half a second off on average.
    if (Number.isFinite(date)) noteServerTime(date / 1000 + 0.5, 1, sentMs, Date.now())
    if (!response.ok) throw await refusal(response)
    return { status: response.status, body: (await response.json()) as T }
  } catch (error) {
    if (error instanceof RequestError) throw error
    throw new RequestError(0, error instanceof Error ? error.message : String(error))
  }
}

export const get = <T>(path: string): Promise<Reply<T>> => request<T>('GET', path)
export const post = <T>(path: string, body: unknown, headers?: Record<string, string>): Promise<Reply<T>> =>
  request<T>('POST', path, body, headers)
