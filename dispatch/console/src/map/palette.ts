// The map's colours by theme: the map is drawn by WebGL and cannot read the page's style sheet.
import type { HeadwayState } from '../data/types'
import type { Theme } from '../data/store'

export interface MapPalette {
  ground: string
  stop: string
  stopEdge: string
  text: string
  halo: string
  iconEdge: string
  noColor: string
  /** Around a vehicle that there is advice for. */
  advised: string
  states: Record<HeadwayState, string>
}

// Warm is too close, cool is too far, green is as planned: told apart by colour-blind eyes too, and by shape besides.
export const PALETTES: Record<Theme, MapPalette> = {
  light: {
    ground: '#eef1f4',
    stop: '#ffffff',
    stopEdge: '#6b7885',
    text: '#26313c',
    halo: '#ffffff',
    iconEdge: '#ffffff',
    noColor: '#5b7083',
    advised: '#1b5fc4',
    states: { bunched: '#ba3d0b', short: '#956008', regular: '#2b7a57', long: '#1d6fa5', gapped: '#4338ca', unknown: '#66727f' },
  },
  dark: {
    ground: '#10161d',
    stop: '#10161d',
    stopEdge: '#8794a1',
    text: '#d5dde5',
    halo: '#10161d',
    iconEdge: '#10161d',
    noColor: '#8195a8',
    advised: '#7db2ff',
    states: { bunched: '#ff8a4c', short: '#f0c24b', regular: '#62bd94', long: '#63b3f5', gapped: '#a79bff', unknown: '#8f9ba8' },
  },
}

const channels = (hex: string): [number, number, number] => {
  const value = Number.parseInt(hex.replace('#', ''), 16)
  return [(value >> 16) & 255, (value >> 8) & 255, value & 255]
}

function luminance(hex: string): number {
  const [r, g, b] = channels(hex).map((part) => {
    const share = part / 255
    return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
  }) as [number, number, number]
  return 0.2126 * r + 0.7152 * g + 0.0722 * b
}

export function contrast(a: string, b: string): number {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y) as [number, number]
  return (high + 0.05) / (low + 0.05)
}

function mixed(a: string, b: string, share: number): string {
  const [from, to] = [channels(a), channels(b)]
  const parts = from.map((part, index) => Math.round(part + ((to[index] ?? part) - part) * share))
  return `#${parts.map((part) => part.toString(16).padStart(2, '0')).join('')}`
}

/** A line's own colour, moved towards the text colour until it can be seen on the ground. */
export function lineColor(color: string, palette: MapPalette): string {
  if (!/^#?[0-9a-f]{6}$/i.test(color)) return palette.noColor
  const own = `#${color.replace('#', '')}`
  for (let share = 0; share <= 1; share += 0.1) {
    const tried = mixed(own, palette.text, share)
    if (contrast(tried, palette.ground) >= 2.6) return tried
  }
  return palette.noColor
}
