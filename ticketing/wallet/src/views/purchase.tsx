// A purchase under way, and how one ended that brought no ticket.
import { useState } from 'preact/hooks'
import { askNow, GIVE_UP_S, giveUp } from '../data/purchase'
import { setState, useStore, type Outcome as Ended } from '../data/store'
import type { Attempt } from '../data/types'
import { useMessages } from '../i18n'
import { useNow } from '../ui/tick'

export function Waiting({ attempt }: { attempt: Attempt }) {
  const text = useMessages()
  const progress = useStore((state) => state.progress)
  const language = useStore((state) => state.language)
  const [sure, setSure] = useState(false)
  const now = useNow()
  const [title, hint] = text.progress[progress]
  return (
    <section class="waiting" data-progress={progress} role="status">
      {progress !== 'unsure' && <span class="spinner" aria-hidden="true" />}
      <div class="waiting__words">
        <b>{title}</b>
        <p>{attempt.product.name[language]}</p>
        <p class="waiting__hint">{hint}</p>
        {progress === 'unsure' && (
          <div class="buttons">
            <button type="button" class="button" onClick={askNow}>
              {text.checkNow}
            </button>
            {now - attempt.startedAt > GIVE_UP_S && !sure && (
              <button type="button" class="button button--plain" onClick={() => setSure(true)}>
                {text.giveUp}
              </button>
            )}
          </div>
        )}
        {sure && (
          <>
            <p>
              {text.giveUpSure} <b class="mono">{attempt.key}</b>
            </p>
            <button type="button" class="button button--bad" onClick={() => void giveUp()}>
              {text.giveUp}
            </button>
          </>
        )}
      </div>
    </section>
  )
}

/** What the acquirer's reason means to a passenger; empty where we have no better words. */
export function Outcome({ outcome }: { outcome: Ended }) {
  const text = useMessages()
  if (!outcome) return null
  const declined = outcome.kind === 'declined'
  const known = Object.entries(text.declinedWhy).find(([code]) => outcome.reason.includes(code))
  return (
    <section class="outcome" role="alert">
      <b>{declined ? text.declined : text.refused}</b>
      {declined && known && <p>{known[1]}</p>}
      <p>{declined ? text.declinedHint : text.refusedHint}</p>
      {!declined && <p class="outcome__why">{outcome.reason}</p>}
      <button type="button" class="button" onClick={() => setState({ outcome: null })}>
        {text.ok}
      </button>
    </section>
  )
}

