// Small turns of phrase that several panels share.
import type { Decision } from '../data/deskTypes'
import type { Messages } from '../i18n/en'

/** Who decided: a person, or the line itself and whoever had switched it to automatic. */
export function decidedBy({ by, known }: Pick<Decision, 'by' | 'known'>, text: Messages): string {
  if (by !== 'automatic') return by ?? '–'
  const who = known?.['switched_by']
  return text.desk.advice.automatic(typeof who === 'string' ? who : null)
}
