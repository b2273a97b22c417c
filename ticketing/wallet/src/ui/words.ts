// Small turns of phrase that several views share.
import type { Product } from '../data/types'
import type { Messages } from '../i18n/en'
import type { Language } from '../data/store'

/** Where a ticket is valid: the networks by their names, or everywhere. */
export function where({ networks, network_names }: Product, language: Language, text: Messages): string {
  if (networks.includes('*')) return text.everywhere
  return networks.map((id, at) => network_names?.[at]?.[language] ?? id).join(', ')
}

/** What a ticket brings that is given back. */
export function returns(refund: { days: number; used: 'none' | 'rest' }, text: Messages): string {
  if (refund.used === 'rest') return text.returnsRest
  return refund.days > 0 ? text.returnsWhole(refund.days) : text.returnsNever
}

/** A ticket's number as people read it out: the first part of its id. */
export const shortId = (id: string): string => id.slice(0, 8).toUpperCase()
