// Small turns of phrase that several views share.
import type { Messages } from '../i18n/en'

/** Where a ticket is valid: the networks' ids, or everywhere. */
export const where = (networks: string[], text: Messages): string => (networks.includes('*') ? text.everywhere : networks.join(', '))

/** A ticket's number as people read it out: the first part of its id. */
export const shortId = (id: string): string => id.slice(0, 8).toUpperCase()
