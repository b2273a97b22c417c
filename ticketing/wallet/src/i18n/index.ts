// Which language the page speaks, and how it writes money and times.
import { useStore, type Language } from '../data/store'
import { en, type Messages } from './en'
import { uk } from './uk'

const dictionaries: Record<Language, Messages> = { en, uk }

export const messagesIn = (language: Language): Messages => dictionaries[language]
export const useMessages = (): Messages => dictionaries[useStore((state) => state.language)]

const locale = (language: Language) => (language === 'uk' ? 'uk-UA' : 'en-GB')

/** Formatters are costly to make, so each is made once. */
const made = new Map<string, Intl.DateTimeFormat>()
function formatter(language: Language, timeZone: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = JSON.stringify([language, timeZone, options])
  let value = made.get(key)
  if (!value) made.set(key, (value = new Intl.DateTimeFormat(locale(language), { ...options, timeZone })))
  return value
}

const CLOCK: Intl.DateTimeFormatOptions = { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' }
const TIME: Intl.DateTimeFormatOptions = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }
const DAY: Intl.DateTimeFormatOptions = { day: 'numeric', month: 'long' }
const YEAR: Intl.DateTimeFormatOptions = { year: 'numeric' }

export interface Format {
  money: (minor: number, currency: string) => string
  clock: (unixS: number) => string
  time: (unixS: number) => string
  /** A day and a time; the year only where it is another one. */
  moment: (unixS: number, nowS: number) => string
  /** A day with its year and a time, as on paper that is kept. */
  dated: (unixS: number) => string
  /** A length of time in one unit. */
  span: (seconds: number) => string
}

export function useFormat(): Format {
  const language = useStore((state) => state.language)
  const zone = useStore((state) => state.instance?.timezone ?? 'UTC')
  const write = (options: Intl.DateTimeFormatOptions) => (unixS: number) => formatter(language, zone, options).format(unixS * 1000)
  const year = write(YEAR)
  return {
    money: (minor, currency) => money(minor, currency, language),
    clock: write(CLOCK),
    time: write(TIME),
    moment: (unixS, nowS) => {
      const day = write(year(unixS) === year(nowS) ? DAY : { ...DAY, ...YEAR })(unixS)
      return `${day}, ${write(TIME)(unixS)}`
    },
    dated: (unixS) => `${write({ ...DAY, ...YEAR })(unixS)}, ${write(TIME)(unixS)}`,
    span: (seconds) => {
      const [value, unit] = seconds < 90 ? [seconds, 'second'] : seconds < 5400 ? [seconds / 60, 'minute'] : [seconds / 3600, 'hour']
      return new Intl.NumberFormat(locale(language), { style: 'unit', unit, maximumFractionDigits: 0 }).format(value)
    },
  }
}

function money(minor: number, currency: string, language: Language): string {
  const format = new Intl.NumberFormat(locale(language), { style: 'currency', currency, currencyDisplay: 'narrowSymbol' })
  const digits = format.resolvedOptions().maximumFractionDigits ?? 2
  return format.format(minor / 10 ** digits)
}
