// Who is signed in, and what goes when nobody is.
import { get, post, remove, RequestError } from './api'
import { restartStream } from './stream'
import { getState, setState, SIGNED_OUT } from './store'
import type { Session } from './types'

// Only a page that has signed in asks who it is: an anonymous one would get a 401 each time it loads.
const SIGNED_IN = 'takt.signed-in'

function remembered(): boolean {
  try {
    return localStorage.getItem(SIGNED_IN) === '1'
  } catch {
    return false
  }
}

function remember(signedIn: boolean): void {
  try {
    if (signedIn) localStorage.setItem(SIGNED_IN, '1')
    else localStorage.removeItem(SIGNED_IN)
  } catch {
    // Storage may be forbidden; then the page asks for the password again after a reload.
  }
}

export async function restoreSession(): Promise<void> {
  if (!remembered()) return
  try {
    setState({ session: await get<Session>('session') })
  } catch (error) {
    if (error instanceof RequestError && error.status === 401) remember(false)
  }
}

/** Signs in; throws a RequestError that says why not. */
export async function signIn(user: string, password: string): Promise<void> {
  const answer = await post<Session | null>('session', { user, password })
  remember(true)
  setState({ session: answer?.user ? answer : await get<Session>('session'), dialog: null })
  restartStream()
}

export async function signOut(): Promise<void> {
  remember(false)
  setState(SIGNED_OUT)
  await remove('session').catch(() => undefined)
  restartStream()
}

/** A session that has run out shows as signed out, wherever that is noticed. */
export function noteRefusal(error: unknown): void {
  if (error instanceof RequestError && error.status === 401 && getState().session) {
    remember(false)
    setState(SIGNED_OUT)
  }
}

/** Asks who is signed in, for something said that it is over. */
export async function checkSession(): Promise<void> {
  await get<Session>('session').catch(noteRefusal)
}

/** Calls once for each login, and once for a session that is restored. */
export function onSignIn(act: () => void, subscribe: (listener: () => void) => unknown): void {
  let before: Session | null = null
  subscribe(() => {
    const { session } = getState()
    if (session !== before) {
      before = session
      if (session) act()
    }
  })
}
