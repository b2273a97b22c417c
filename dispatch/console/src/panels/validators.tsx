// Validators that somebody should look at: a mark beside the taps, and behind it which ones, why, and since when.
import type { ComponentChildren } from 'preact'
import { setState, useStore } from '../data/store'
import type { ListAges } from '../data/validators'
import { duration, useFormat, useMessages } from '../i18n'
import { closeDialog, Modal } from '../ui/modal'

/** Opens the list; in the colour of a warning while there is something in it. */
export function ValidatorsMark() {
  const text = useMessages().validators
  const { integer } = useFormat()
  const validators = useStore((state) => state.validators)
  if (!validators) return null
  const amiss = validators.wrong + validators.old
  const words = amiss > 0 ? text.amiss(integer(amiss)) : text.fine
  return (
    <button type="button" class="validators" data-amiss={amiss > 0 ? 'true' : 'false'} title={words} aria-label={words}
      onClick={() => setState({ dialog: 'validators' })}>
      <span aria-hidden="true">{amiss > 0 ? `⚠ ${integer(amiss)}` : '✓'}</span>
    </button>
  )
}

function Listed({ title, hint, more, children }: { title: string; hint: string; more: string | null; children: ComponentChildren }) {
  return (
    <section class="validators__part">
      <h3>{title}</h3>
      <p class="form__hint">{hint}</p>
      <div class="decisions decisions--short" tabIndex={0}>{children}</div>
      {more && <p class="form__hint">{more}</p>}
    </section>
  )
}

export function ValidatorsDialog() {
  const messages = useMessages()
  const text = messages.validators
  const { integer, time } = useFormat()
  const validators = useStore((state) => state.validators)
  if (!validators) return <Modal wide label={text.title}><p class="empty">{messages.noData}</p></Modal>
  const { old_lists: old, wrong_clocks: wrong, oldest_s: oldest } = validators
  const age = (seconds: number | null) => (seconds === null ? text.none : duration(seconds))
  const ages = (of: ListAges) => [of.keys, of.status, of.deny].map((seconds, index) => <td key={index}>{age(seconds)}</td>)
  const more = (all: number, shown: number) => (all > shown ? text.more(integer(all - shown)) : null)
  return (
    <Modal wide label={text.title}>
      <p class="form__hint">
        {validators.reporting > 0 ? text.oldest(integer(validators.reporting), age(oldest.keys), age(oldest.status), age(oldest.deny)) : text.silent}
      </p>
      <Listed title={text.clocks} hint={text.flagged(integer(validators.clock_taps), integer(validators.clock_unknown_taps))} more={more(validators.wrong, wrong.length)}>
        {wrong.length === 0 ? <p class="empty">{text.noClocks}</p> : (
          <table>
            <thead><tr><th>{text.validator}</th><th>{text.clock}</th><th>{text.heard}</th></tr></thead>
            <tbody>{wrong.map((one) => (
              <tr key={`${one.operator}/${one.validator}`}>
                <td>{one.operator}/{one.validator}</td>
                <td>{one.behind_s > 0 ? text.behind(duration(one.behind_s)) : text.ahead(duration(-one.behind_s))}</td>
                <td>{time(one.heard_at)}</td>
              </tr>
            ))}</tbody>
          </table>
        )}
      </Listed>
      <Listed title={text.lists} hint={text.listsHint} more={more(validators.old, old.length)}>
        {old.length === 0 ? <p class="empty">{text.noLists}</p> : (
          <table>
            <thead><tr><th>{text.validator}</th><th>{text.keys}</th><th>{text.status}</th><th>{text.deny}</th><th>{text.heard}</th></tr></thead>
            <tbody>{old.map((one) => (
              <tr key={`${one.operator}/${one.validator}`}>
                <td>{one.operator}/{one.validator}</td>{ages(one.ages_s)}<td>{time(one.heard_at)}</td>
              </tr>
            ))}</tbody>
          </table>
        )}
      </Listed>
      <div class="form__buttons"><button type="button" class="button" onClick={closeDialog}>{messages.close}</button></div>
    </Modal>
  )
}
