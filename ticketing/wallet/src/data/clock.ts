// The time of the server: a telephone's clock may be wrong, and a proof with a wrong time opens no door.

const KEY = 'takt.clock'
/** A difference up to here is left alone: the window is wider, and a phone's clock is mostly better than one answer. */
const SMALL_S = 2

function remembered(): number {
  try {
    const value = Number(localStorage.getItem(KEY))
    return Number.isFinite(value) ? value : 0
  } catch {
    return 0
  }
}

let aheadS = remembered()

/** Notes what the server's clock said to a request that ran from `sentMs` to `receivedMs` on ours. */
export function noteServerTime(serverS: number, errorS: number, sentMs: number, receivedMs: number): void {
  const measured = serverS - (sentMs + receivedMs) / 2000
  const doubt = errorS + (receivedMs - sentMs) / 2000
  if (Math.abs(measured - aheadS) <= doubt) return // no contradiction: what is known stands
  aheadS = Math.abs(measured) <= Math.max(SMALL_S, doubt) ? 0 : measured
  try {
    localStorage.setItem(KEY, String(aheadS))
  } catch {
    // Storage may be forbidden; the difference is then measured anew at the next opening.
  }
}

/** Unix seconds by the server's clock, as well as it is known. */
export const nowS = (): number => Date.now() / 1000 + aheadS

/** How far the server's clock is ahead of this device's, in seconds; 0 while they agree. */
export const clockErrorS = (): number => aheadS
