// The code with what shows that it is alive: a frame that runs round until the next one, and the running clock.
import { CheckIcon } from '../ui/icons'
import { useFormat, useMessages } from '../i18n'
import { clockErrorS } from '../data/clock'
import { useStore } from '../data/store'
import type { Ticket } from '../data/types'
import { useNow } from '../ui/tick'
import { RENEW_S, STALE_S } from './proof'
import { QrCode } from './qr'
import { useCode, useWakeLock } from './useCode'

/** From here on a wrong clock is worth a word. */
const CLOCK_WORD_S = 20

export function CodePanel({ ticket, accepted }: { ticket: Ticket; accepted: string | null }) {
  const text = useMessages()
  const format = useFormat()
  const language = useStore((state) => state.language)
  const { code, renew } = useCode(ticket)
  useWakeLock()
  const now = useNow(500)
  const age = code ? now - code.madeAt : 0
  const stale = age > STALE_S || age < -STALE_S
  const label = text.codeLabel(ticket.product.name[language], format.moment(ticket.validUntil, now))
  return (
    <section class="code" aria-label={text.code}>
      <div class="code__frame" data-stale={stale}>
        {code && !stale && <Frame key={code.madeAt} />}
        {code && !stale && <QrCode text={code.text} label={label} />}
        {stale && (
          <button type="button" class="code__stopped" onClick={renew}>
            <b>{text.codeStopped}</b>
            {text.codeStoppedHint}
          </button>
        )}
        {accepted !== null && (
          <div class="code__accepted">
            <CheckIcon />
            <b>{text.accepted}</b>
            <span>{accepted}</span>
          </div>
        )}
      </div>
      <div class="code__life">
        <time class="code__clock">{format.clock(now)}</time>
        <span class="code__renew" aria-hidden="true">
          <span class="dot" />
          {text.renewIn(Math.max(0, Math.ceil(RENEW_S - age)))}
        </span>
        <span class="sr-only">{text.renewing}</span>
      </div>
      {Math.abs(clockErrorS()) > CLOCK_WORD_S && <p class="note">{text.clockOff(format.span(Math.abs(clockErrorS())))}</p>}
    </section>
  )
}

/** Drawn anew with each code, so the line starts again from nothing. */
const Frame = () => (
  <svg class="code__ring" aria-hidden="true">
    <rect class="code__track" x="2.5" y="2.5" rx="17" pathLength="1" />
    <rect class="code__run" x="2.5" y="2.5" rx="17" pathLength="1" />
  </svg>
)
