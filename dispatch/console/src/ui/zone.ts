// Wall-clock times of the city: the dispatcher may sit elsewhere, and twice a year an hour is missing or there twice.

const formats = new Map<string, Intl.DateTimeFormat>()

function partsIn(unixS: number, zone: string): { day: string; time: string } {
  let format = formats.get(zone)
  if (!format) {
    const two = '2-digit'
    format = new Intl.DateTimeFormat('en-GB', { timeZone: zone, year: 'numeric', month: two, day: two, hour: two, minute: two, hourCycle: 'h23' })
    formats.set(zone, format)
  }
  const part = Object.fromEntries(format.formatToParts(unixS * 1000).map(({ type, value }) => [type, value]))
  return { day: `${part['year']}-${part['month']}-${part['day']}`, time: `${part['hour']}:${part['minute']}` }
}

/** An instant as the values of a date field and a time field. */
export const wallOf = partsIn

/** The instant of a wall-clock time; the first where it comes twice, the hour after where there is none; null when unreadable. */
export function instantOf(day: string, time: string, zone: string): number | null {
  const wanted = Date.parse(`${day}T${time}:00Z`) / 1000
  if (!Number.isFinite(wanted)) return null
  // What the zone's clock shows at an instant tells its offset; the second look heeds a change in between.
  const offset = (at: number) => {
    const { day: shownDay, time: shownTime } = partsIn(at, zone)
    return Date.parse(`${shownDay}T${shownTime}:00Z`) / 1000 - Math.floor(at / 60) * 60
  }
  const first = wanted - offset(wanted - offset(wanted) - 3600)
  return offset(first) === wanted - first ? first : wanted - offset(wanted - offset(wanted))
}
