// Kinds of vehicle: feeds often give a tram, a trolleybus and a bus one number and no colour, so the kind tells them apart.

export type Mode = 'tram' | 'metro' | 'rail' | 'bus' | 'ferry' | 'trolleybus' | 'other'

const BASIC: Record<number, Mode> = { 0: 'tram', 1: 'metro', 2: 'rail', 3: 'bus', 4: 'ferry', 11: 'trolleybus', 12: 'rail' }
// The hundreds of the extended GTFS route types.
const EXTENDED: Record<number, Mode> = { 1: 'rail', 2: 'bus', 4: 'metro', 7: 'bus', 8: 'trolleybus', 9: 'tram', 10: 'ferry', 12: 'ferry' }

export const modeOf = (routeType: number): Mode => BASIC[routeType] ?? EXTENDED[Math.floor(routeType / 100)] ?? 'other'

/** For lines whose feed gives no colour: RRGGBB, each dark enough for white letters. */
const MODE_COLORS: Record<Mode, string> = {
  tram: 'A33A3A', trolleybus: '2F64A3', bus: '47703F', metro: '6A4A9C', rail: '4F5966', ferry: '1F6F78', other: '51606F',
}

export const colorOf = (color: string, routeType: number): string => (/^[0-9a-f]{6}$/i.test(color) ? color : MODE_COLORS[modeOf(routeType)])
