// Which language the page speaks, and how it writes numbers and times.
import { useStore, type Language } from '../data/store'
import { en, type Messages } from './en'
import { uk } from './uk'

const dictionaries: Record<Language, Messages> = { en, uk }

export const messagesIn = (language: Language): Messages => dictionaries[language]
export const useMessages = (): Messages => dictionaries[useStore((state) => state.language)]

/** Formatters are costly to make, so each is made once. */
function once<T>(make: (key: string) => T): (key: string) => T {
  const made = new Map<string, T>()
  return (key) => {
    let value = made.get(key)
    if (value === undefined) made.set(key, (value = make(key)))
    return value
  }
}

const locale = (language: string) => (language === 'uk' ? 'uk-UA' : 'en-GB')
const integers = once((language) => new Intl.NumberFormat(locale(language), { maximumFractionDigits: 0 }))
const shares = once((language) => new Intl.NumberFormat(locale(language), { style: 'percent', maximumFractionDigits: 0 }))
const formatter = (options: Intl.DateTimeFormatOptions) =>
  once((key) => {
    const [language = 'en', zone = 'UTC'] = key.split(' ')
    return new Intl.DateTimeFormat(locale(language), { ...options, timeZone: zone })
  })
const clocks = formatter({ hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' })
const times = formatter({ hour: '2-digit', minute: '2-digit', hourCycle: 'h23' })
const days = formatter({ weekday: 'short', day: 'numeric', month: 'short' })
const moments = formatter({ day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' })

export interface Format {
  integer: (n: number) => string
  share: (n: number) => string
  clock: (unixS: number) => string
  time: (unixS: number) => string
  /** The day, and the day with the time, of an instant. */
  date: (unixS: number) => string
  moment: (unixS: number) => string
  /** "2026-07-13" or "20260713" as a day of the service. */
  day: (isoDate: string) => string
}

export function useFormat(): Format {
  const language = useStore((state) => state.language)
  const zone = useStore((state) => state.instance?.timezone ?? 'UTC')
  const key = `${language} ${zone}`
  return {
    integer: (n) => integers(language).format(n),
    share: (n) => shares(language).format(n),
    clock: (unixS) => clocks(key).format(unixS * 1000),
    time: (unixS) => times(key).format(unixS * 1000),
    date: (unixS) => days(key).format(unixS * 1000),
    moment: (unixS) => moments(key).format(unixS * 1000),
    day: (isoDate) => {
      const [, year = '', month = '', day = ''] = /^(\d{4})-?(\d{2})-?(\d{2})/.exec(isoDate) ?? []
      return year ? days(`${language} UTC`).format(Date.UTC(+year, +month - 1, +day)) : isoDate
    },
  }
}

/** A length of time as 4:10, or 1:04:10 from an hour on; below zero with its sign. */
export function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined) return '–'
  const whole = Math.round(seconds)
  const sign = whole < 0 ? '−' : ''
  const total = Math.abs(whole)
  const two = (n: number) => String(n).padStart(2, '0')
  const hours = Math.floor(total / 3600)
  const minutes = Math.floor((total % 3600) / 60)
  return hours > 0 ? `${sign}${hours}:${two(minutes)}:${two(total % 60)}` : `${sign}${minutes}:${two(total % 60)}`
}

/** A planned headway: how far apart two vehicles should be, whichever of them the timetable has ahead. */
export const plan = (seconds: number | null | undefined): string => duration(typeof seconds === 'number' ? Math.abs(seconds) : seconds)

/** A deviation in whole minutes, where room is scarce: +2′ is late. */
export function signedMinutes(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined) return '–'
  const minutes = Math.round(seconds / 60)
  return `${minutes < 0 ? '−' : minutes > 0 ? '+' : ''}${Math.abs(minutes)}′`
}

/** A deviation with its sign: +2:10 is late, −0:40 early. */
export function signed(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined) return '–'
  const rounded = Math.round(seconds)
  return (rounded < 0 ? '−' : '+') + duration(Math.abs(rounded))
}
