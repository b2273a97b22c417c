// The vehicles' icons, drawn to a canvas here: the state is told by the shape as well as by the colour.
import type { HeadwayState } from '../data/types'
import { STATES } from '../data/derive'
import type { MapPalette } from './palette'

const SIZE = 36 // CSS pixels
const RATIO = 2

export interface Icon {
  name: string
  image: ImageData
}

export const iconName = (state: HeadwayState, heading: boolean): string => `${state}-${heading ? 'arrow' : 'dot'}`
export const ICON_RATIO = RATIO

function body(context: CanvasRenderingContext2D, heading: boolean): void {
  context.beginPath()
  if (heading) {
    context.moveTo(0, -9.5)
    context.lineTo(7, 7)
    context.lineTo(0, 3.6)
    context.lineTo(-7, 7)
    context.closePath()
  } else {
    context.arc(0, 0, 5.5, 0, 2 * Math.PI)
  }
}

/** Bunched: filled in a solid ring. Gapped: hollow in a broken ring. Long: hollow. Short and regular: filled, short with a dot. */
function draw(context: CanvasRenderingContext2D, state: HeadwayState, heading: boolean, palette: MapPalette): void {
  const color = palette.states[state]
  const hollow = state === 'long' || state === 'gapped'
  context.lineJoin = 'round'
  if (state === 'bunched' || state === 'gapped') {
    context.beginPath()
    context.arc(0, 0, 12.4, 0, 2 * Math.PI)
    context.globalAlpha = 0.14
    context.fillStyle = color
    context.fill()
    context.globalAlpha = 1
    context.setLineDash(state === 'gapped' ? [4.1, 3.7] : [])
    context.lineWidth = 1.5
    context.strokeStyle = color
    context.stroke()
    context.setLineDash([])
  }
  body(context, heading)
  context.lineWidth = hollow ? 5.4 : 3.4
  context.strokeStyle = palette.iconEdge
  context.stroke()
  context.fillStyle = hollow ? palette.iconEdge : color
  context.fill()
  if (hollow) {
    context.lineWidth = 2.4
    context.strokeStyle = color
    context.stroke()
  }
  if (state === 'short') {
    context.beginPath()
    context.arc(0, 0.5, 1.9, 0, 2 * Math.PI)
    context.fillStyle = palette.iconEdge
    context.fill()
  }
}

export function drawIcons(palette: MapPalette): Icon[] {
  const canvas = document.createElement('canvas')
  canvas.width = canvas.height = SIZE * RATIO
  const context = canvas.getContext('2d', { willReadFrequently: true })
  if (!context) return []
  return STATES.flatMap((state) =>
    [true, false].map((heading) => {
      context.setTransform(RATIO, 0, 0, RATIO, canvas.width / 2, canvas.height / 2)
      context.clearRect(-SIZE, -SIZE, 2 * SIZE, 2 * SIZE)
      draw(context, state, heading, palette)
      return { name: iconName(state, heading), image: context.getImageData(0, 0, canvas.width, canvas.height) }
    }),
  )
}
