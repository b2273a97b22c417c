// A code as a picture: dark on white whatever the page's colours are, its modules on whole pixels of the screen.
import encodeQR from 'qr'
import { useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks'

/** The border that ISO/IEC 18004 asks for: cameras look for it. */
const QUIET_MODULES = 4

interface Drawn {
  size: number
  path: string
}

/** Level M and alphanumeric, which base45 is made for. */
function drawn(text: string): Drawn {
  const rows = encodeQR(text, 'raw', { ecc: 'medium', encoding: 'alphanumeric', border: QUIET_MODULES })
  let path = ''
  rows.forEach((row, y) => {
    for (let x = 0; x < row.length; x++) {
      if (!row[x]) continue
      const start = x
      while (row[x]) x++
      path += `M${start} ${y}h${x - start}v1h${start - x}z`
    }
  })
  return { size: rows.length, path }
}

export function QrCode({ text, label }: { text: string; label: string }) {
  const { size, path } = useMemo(() => drawn(text), [text])
  const place = useRef<HTMLDivElement>(null)
  const [side, setSide] = useState(0)
  useLayoutEffect(() => {
    const fit = () => {
      const width = place.current?.clientWidth ?? 0
      const pixels = Math.floor((width * devicePixelRatio) / size)
      setSide((pixels * size) / devicePixelRatio)
    }
    fit()
    window.addEventListener('resize', fit)
    return () => window.removeEventListener('resize', fit)
  }, [size])
  return (
    <div class="qr" ref={place}>
      <svg role="img" aria-label={label} viewBox={`0 0 ${size} ${size}`} width={side} height={side} shape-rendering="crispEdges">
        <path d={path} fill="#000" />
      </svg>
    </div>
  )
}
