// Requests to the HTTP interface: JSON in and out, problem documents as errors, nothing waits longer than ten seconds.

const LIMIT_MS = 10_000

/** Addresses are relative to the page, so that the product may live behind a path prefix; whole ones stay as they are. */
export const address = (path: string): string => (path.startsWith('http') ? path : new URL(`api/v1/${path}`, document.baseURI).href)

/** A refused request: `status` is the HTTP status, or 0 when no answer came; the message is for people. */
export class RequestError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message)
  }
}

async function problemText(response: Response): Promise<string> {
  const fallback = `${response.status} ${response.statusText}`.trim()
  try {
    const problem = (await response.json()) as { title?: string; detail?: string }
    return problem.detail || problem.title || fallback
  } catch {
    return fallback
  }
}

async function request<T>(method: string, path: string, body?: unknown): Promise<T> {
  let response: Response
  try {
    response = await fetch(address(path), {
      method,
      credentials: 'same-origin',
      signal: AbortSignal.timeout(LIMIT_MS),
      headers: body === undefined ? {} : { 'Content-Type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
  } catch (error) {
    throw new RequestError(0, error instanceof Error ? error.message : String(error))
  }
  if (!response.ok) throw new RequestError(response.status, await problemText(response))
  const text = await response.text()
  return (text ? JSON.parse(text) : null) as T
}

export const get = <T>(path: string): Promise<T> => request<T>('GET', path)
export const post = <T>(path: string, body?: unknown): Promise<T> => request<T>('POST', path, body ?? {})
export const put = <T>(path: string, body: unknown): Promise<T> => request<T>('PUT', path, body)
export const remove = (path: string): Promise<unknown> => request('DELETE', path)
