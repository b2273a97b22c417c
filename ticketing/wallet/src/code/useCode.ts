// Keeps a ticket's code fresh while it is looked at, and the screen awake with it.
import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import { nowS } from '../data/clock'
import type { Ticket } from '../data/types'
import { freshCode, RENEW_S, type Code } from './proof'

export function useCode(ticket: Ticket): { code: Code | null; renew: () => void } {
  const [code, setCode] = useState<Code | null>(null)
  const asked = useRef(0)
  const { token, key } = ticket
  const renew = useCallback(() => {
    const mine = ++asked.current
    freshCode(token, key.privateKey, nowS()).then(
      (made) => mine === asked.current && setCode(made),
      () => undefined, // the old one goes stale, and that is shown
    )
  }, [token, key])
  useEffect(() => {
    renew()
    const timer = setInterval(() => document.hidden || renew(), RENEW_S * 1000)
    const seen = () => document.hidden || renew()
    document.addEventListener('visibilitychange', seen)
    return () => {
      asked.current++
      clearInterval(timer)
      document.removeEventListener('visibilitychange', seen)
    }
  }, [renew])
  return { code, renew }
}

/** The screen stays on while the code is shown, where the browser can do that. */
export function useWakeLock(): void {
  useEffect(() => {
    let lock: WakeLockSentinel | null = null
    let gone = false
    const hold = () => {
      if (document.hidden || !('wakeLock' in navigator)) return
      navigator.wakeLock.request('screen').then(
        (held) => (gone ? void held.release() : (lock = held)),
        () => undefined, // a low battery may forbid it
      )
    }
    hold()
    document.addEventListener('visibilitychange', hold)
    return () => {
      gone = true
      document.removeEventListener('visibilitychange', hold)
      void lock?.release()
    }
  }, [])
}
