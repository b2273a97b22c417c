// Texts made to fit: what all have in common is left out first, then the middle. Pure, but for measuring the letters.

export type Measure = (text: string) => number

const MEASURED_MAX = 4000
const measured = new Map<string, number>()
let context: CanvasRenderingContext2D | null = null

/** Widths in pixels of texts in a CSS font, measured once each as long as there are few. */
export function measureIn(font: string): Measure {
  return (text) => {
    const key = `${font} ${text}`
    let width = measured.get(key)
    if (width === undefined) {
      context ??= document.createElement('canvas').getContext('2d')
      if (!context) return 0
      context.font = font
      width = context.measureText(text.replace(/\d/g, '0')).width // the page sets all digits equally wide
      // Until the page's own font has come, another is measured: worth using, not worth keeping.
      if (document.fonts.status === 'loaded') {
        if (measured.size >= MEASURED_MAX) measured.clear()
        measured.set(key, width)
      }
    }
    return width
  }
}

/** The text, or its beginning and its end around an ellipsis; `head` is the share of the letters kept at the beginning. */
export function elide(text: string, room: number, measure: Measure, head = 0.55): string {
  if (measure(text) <= room) return text
  const letters = [...text]
  for (let kept = letters.length - 1; kept >= 2; kept -= 1) {
    const first = Math.max(1, Math.round(kept * head))
    const start = letters.slice(0, first).join('').trimEnd()
    const end = letters.slice(letters.length - (kept - first)).join('').trimStart()
    const short = `${start}…${kept > first ? end : ''}`
    if (measure(short) <= room) return short
  }
  return '…'
}

const COMMON_MIN = 3

/** First and last words that several of the names share ("St", "вул."), and so tell nothing apart. */
export function commonWords(names: string[]): Set<string> {
  const counts = new Map<string, number>()
  for (const name of new Set(names)) {
    const words = name.split(' ')
    if (words.length < 2) continue
    for (const word of new Set([words[0] ?? '', words.at(-1) ?? ''])) counts.set(word, (counts.get(word) ?? 0) + 1)
  }
  return new Set([...counts].filter(([, count]) => count >= COMMON_MIN).map(([word]) => word))
}

/** A name that fits: whole, else without a first or last word that others share, else shortened in its middle. */
export function fitName(name: string, common: Set<string>, room: number, measure: Measure): string {
  if (measure(name) <= room) return name
  const words = name.split(' ')
  if (words.length > 1 && common.has(words[0] ?? '')) words.shift()
  else if (words.length > 1 && common.has(words.at(-1) ?? '')) words.pop()
  return elide(words.join(' '), room, measure)
}

/** Two ids side by side: each whole if both fit, else the first takes what the second leaves, at least its half. */
export function fitPair(ids: [string, string], room: number, measures: [Measure, Measure]): [string, string] {
  const second = measures[1](ids[1])
  const first = Math.min(measures[0](ids[0]), Math.max(room / 2, room - second))
  // Ids differ at their ends, so more of those is kept.
  return [elide(ids[0], first, measures[0], 0.3), elide(ids[1], room - first, measures[1], 0.3)]
}
