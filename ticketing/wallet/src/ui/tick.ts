// Redraws what shows the time, once a second while the page is seen.
import { useEffect, useState } from 'preact/hooks'
import { nowS } from '../data/clock'

export function useNow(everyMs = 1000): number {
  const [now, set] = useState(nowS)
  useEffect(() => {
    const tick = () => set(nowS())
    const timer = setInterval(() => document.hidden || tick(), everyMs)
    document.addEventListener('visibilitychange', tick)
    return () => {
      clearInterval(timer)
      document.removeEventListener('visibilitychange', tick)
    }
  }, [everyMs])
  return now
}
