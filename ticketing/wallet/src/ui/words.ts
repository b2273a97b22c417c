// Small turns of phrase that several views share.
import type { Product } from '../data/types'
import type { Messages } from '../i18n/en'
import type { Language } from '../data/store'

/** Where a ticket is valid: the networks by their names, or everywhere. */
export function where({ networks, network_names }: Product, language: Language, text: Messages): string {
  if (networks.includes('*')) return text.everywhere
  return networks.map((id, at) => network_names?.[at]?.[language] ?? id).join(', ')
}

/** How many rides, and how many people make each of them. */
export function rides({ rides, riders = 1 }: Product, text: Messages): string {
  const number = rides === null ? text.anyRides : text.rides(rides)
  return riders > 1 ? text.together(number, riders) : number
}

/** For how long a ticket that is bought now is valid; empty where the server does not say. */
export function validity({ valid = {} }: Product, text: Messages): string {
  for (const [unit, words] of Object.entries(text.validFor)) {
    const number = valid[unit as keyof typeof text.validFor]
    if (typeof number === 'number') return words(number)
  }
  return ''
}

/** What a ticket brings that is given back. */
export function returns(refund: { days: number; used: 'none' | 'rest' }, text: Messages): string {
  if (refund.used === 'rest') return text.returnsRest
  return refund.days > 0 ? text.returnsWhole(refund.days) : text.returnsNever
}

/** A ticket's number as people read it out: the first part of its id. */
export const shortId = (id: string): string => id.slice(0, 8).toUpperCase()
