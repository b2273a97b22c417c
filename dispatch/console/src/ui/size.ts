// How much room there is, for what is drawn to scale.
import { useLayoutEffect, useRef, useState } from 'preact/hooks'

/** The size of an element, followed as it changes. */
export function useSize<T extends HTMLElement>() {
  const element = useRef<T>(null)
  const [size, setSize] = useState({ width: 0, height: 0 })
  useLayoutEffect(() => {
    const target = element.current
    if (!target) return
    const observer = new ResizeObserver(([entry]) => {
      if (entry) setSize({ width: Math.floor(entry.contentRect.width), height: Math.floor(entry.contentRect.height) })
    })
    observer.observe(target)
    return () => observer.disconnect()
  }, [])
  return { element, ...size }
}
