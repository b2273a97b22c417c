// The top of the page: whose city, what time, how the service stands, and who is signed in.
import { setState, useStore } from '../data/store'
import { signOut } from '../data/session'
import { useFormat, useMessages } from '../i18n'
import { shownNow, useSecond } from '../ui/clock'
import { STALE_S, useAge } from '../ui/freshness'
import { toggleLanguage, toggleTheme } from '../ui/preferences'
import { Taps } from './taps'

function City() {
  useSecond()
  const text = useMessages()
  const { clock, day, time } = useFormat()
  const instance = useStore((state) => state.instance)
  // A demo moves the timetable: the wall clock stands first, then the timetable's own day and time, named as such.
  const moved = instance?.timetable_shift_s
  // In the past the bar below says the day, and the clock goes as fast as it does.
  const past = useStore((state) => state.past?.at ?? null) !== null
  return (
    <div class="city">
      <img class="city__icon" src={new URL('../icon.svg', import.meta.url).href} alt="" width="28" height="28" />
      <div>
        <h1 class="city__name">
          {instance?.name ?? 'Takt'}
          {instance?.demo && <span class="tag" title={text.demoHint}>{text.demo}</span>}
        </h1>
        <p class="city__time">
          <time class="city__clock">{clock(shownNow())}</time>
          {instance?.service_date && !past && (
            <span title={moved ? text.timetableTime : text.serviceDay}>
              {moved ? text.byTimetable(day(instance.service_date), time(shownNow() - moved)) : day(instance.service_date)}
            </span>
          )}
        </p>
      </div>
    </div>
  )
}

function Kpi({ label, value, tone, hint }: { label: string; value: string; tone?: string; hint?: string }) {
  return (
    <div class={`kpi ${tone ? `tone-${tone}` : ''}`} title={hint}>
      <dt>{label}</dt>
      <dd>{value}</dd>
    </div>
  )
}

function Kpis() {
  const text = useMessages()
  const { integer, share } = useFormat()
  const kpis = useStore((state) => state.fleet.kpis)
  const age = useAge('vehicles')
  const loaded = useStore((state) => state.vehicles !== null)
  const past = useStore((state) => state.past !== null)
  const number = (n: number) => (loaded ? integer(n) : '–')
  const tone = (n: number, name: string) => (n ? { tone: name } : {})
  return (
    <dl class="kpis" data-stale={age !== null && age > STALE_S && !past ? 'true' : 'false'}>
      <Kpi label={text.kpi.online} value={number(kpis.online)} hint={text.kpi.onlineHint} />
      <Kpi label={text.kpi.onTime} value={kpis.onTimeShare === null ? '–' : share(kpis.onTimeShare)} hint={text.kpi.onTimeHint} />
      <Kpi label={text.kpi.bunched} value={number(kpis.bunched)} {...tone(kpis.bunched, 'bunched')} />
      <Kpi label={text.kpi.gapped} value={number(kpis.gapped)} {...tone(kpis.gapped, 'gapped')} />
      {!past && <Taps />}
    </dl>
  )
}

function ConnectionState() {
  const text = useMessages()
  const { integer } = useFormat()
  const connection = useStore((state) => state.connection)
  const age = useAge('vehicles')
  const stale = age !== null && age > STALE_S
  const seconds = age === null ? null : integer(Math.floor(age))
  const past = useStore((state) => state.past !== null)
  if (past) {
    return (
      <div class="connection connection--past" role="status">
        <span class="connection__dot" aria-hidden="true" />
        <span class="connection__words"><b>{text.desk.past.badge}</b></span>
      </div>
    )
  }
  return (
    <div class={`connection connection--${stale && (connection === 'live' || connection === 'polling') ? 'connecting' : connection}`} role="status" aria-live="polite">
      <span class="connection__dot" aria-hidden="true" />
      <span class="connection__words">
        <b>{text.connection[connection]}</b>
        <span class="connection__age" aria-hidden="true">{seconds === null ? text.noData : text.ago(seconds)}</span>
      </span>
    </div>
  )
}

function User() {
  const text = useMessages()
  const session = useStore((state) => state.session)
  if (!session) {
    return <button type="button" class="button" onClick={() => setState({ dialog: 'login' })}>{text.signIn}</button>
  }
  return (
    <button type="button" class="button" onClick={() => void signOut()} title={`${session.user} (${session.role}): ${text.signOut}`}>
      <span class="user">{session.user}</span>
      <span class="user__out">{text.signOut}</span>
    </button>
  )
}

export function Header() {
  const text = useMessages()
  const language = useStore((state) => state.language)
  const theme = useStore((state) => state.theme)
  return (
    <header class="header">
      <City />
      <Kpis />
      <div class="header__tools">
        <ConnectionState />
        <button type="button" class="button button--icon" id="language" aria-label={text.language} title={text.language} onClick={toggleLanguage}>
          {language === 'uk' ? 'EN' : 'УК'}
        </button>
        <button type="button" class="button button--icon" id="theme" aria-label={text.theme} title={text.theme} onClick={toggleTheme}>
          <svg width="16" height="16" viewBox="0 0 16 16" aria-hidden="true">
            {theme === 'dark' ? (
              <g fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round">
                <circle cx="8" cy="8" r="3" />
                <path d="M8 1.2v1.4M8 13.4v1.4M1.2 8h1.4M13.4 8h1.4M3.2 3.2l1 1M11.8 11.8l1 1M12.8 3.2l-1 1M4.2 11.8l-1 1" />
              </g>
            ) : (
              <path d="M13.2 9.9A5.8 5.8 0 0 1 6.1 2.8a5.6 5.6 0 1 0 7.1 7.1z" fill="none" stroke="currentColor" stroke-width="1.6" stroke-linejoin="round" />
            )}
          </svg>
        </button>
        <button type="button" class="button button--icon keyboard" aria-label={text.help} title={`${text.help} (?)`} onClick={() => setState({ dialog: 'help' })}>?</button>
        <User />
      </div>
    </header>
  )
}

export function DegradedBanner() {
  const text = useMessages()
  const { time } = useFormat()
  const since = useStore((state) => state.activity?.degraded_since ?? null)
  const reason = useStore((state) => state.activity?.degraded_reason ?? null)
  if (since === null) return null
  return <div class="banner" role="alert">{text.degraded(time(since), reason ?? '')}</div>
}
