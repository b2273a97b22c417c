// A demo's bank: three test cards that the simulated acquirer knows by how their tokens begin. It has no field for a
// number, and says plainly that it is a simulation.
import { useFormat, useMessages } from '../i18n'
import { CardIcon, NextIcon } from '../ui/icons'
import { useStore } from '../data/store'
import type { PaymentFormProps } from './form'

const PREFIX = { good: 'good-', slow: 'timeout-', poor: 'decline-' } as const
type Kind = keyof typeof PREFIX
const LETTERS = 'abcdefghijklmnop'

/** A token as a reader would give one, in letters, so that nothing in it can look like a card number. */
function token(kind: Kind): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12))
  return PREFIX[kind] + [...bytes].map((byte) => LETTERS[byte >> 4]! + LETTERS[byte & 15]!).join('')
}

export function SimulatedBank({ product, merchant, onMethod, onCancel }: PaymentFormProps) {
  const text = useMessages()
  const format = useFormat()
  const language = useStore((state) => state.language)
  return (
    <div class="bank">
      <header class="bank__head">
        <h2 id="sheet-title">{text.bank.title}</h2>
        <p class="bank__note">{text.bank.note}</p>
      </header>
      <dl class="bank__sum">
        <div>
          <dt>{text.bank.merchant}</dt>
          <dd>{merchant}</dd>
        </div>
        <div>
          <dt>{product.name[language]}</dt>
          <dd class="bank__amount">{format.money(product.price_minor, product.currency)}</dd>
        </div>
      </dl>
      <h3>{text.bank.choose}</h3>
      <ul class="bank__cards">
        {(['good', 'slow', 'poor'] as const).map((kind) => {
          const [name, hint] = text.bank.cards[kind]
          return (
            <li key={kind}>
              <button type="button" class="bank__card" data-card={kind} onClick={() => onMethod(token(kind))}>
                <CardIcon />
                <span>
                  <b>{name}</b>
                  <small>{hint}</small>
                </span>
                <NextIcon />
              </button>
            </li>
          )
        })}
      </ul>
      <button type="button" class="button button--plain button--wide" onClick={onCancel}>
        {text.bank.cancel}
      </button>
    </div>
  )
}
