// What is on sale, and what this installation is; kept from the last time for pages opened without a network.
import { get } from './api'
import { getState, setState } from './store'
import type { Instance, Product } from './types'

const KEY = 'takt.wallet'

export async function loadShop(): Promise<void> {
  try {
    const [instance, products] = await Promise.all([get<Instance>('instance'), get<{ products: Product[] }>('products')])
    setState({ instance: instance.body, products: offers(products.body.products), productsFailed: false, online: true })
    localStorage.setItem(KEY, JSON.stringify(instance.body))
  } catch {
    setState({ productsFailed: getState().products === null })
  }
}

/** Name and time zone as they were: a ticket's times are the city's, also underground. */
export function rememberInstance(): void {
  try {
    const kept = localStorage.getItem(KEY)
    if (kept) setState({ instance: JSON.parse(kept) as Instance })
  } catch {
    // Forbidden or broken: the network will tell.
  }
}

/** Of two tickets that are worth and cost the same, the one bound to the phone is offered: it cannot be stolen. Those
 *  for concessions are sold at desks. */
export function offers(all: Product[]): Product[] {
  const products = all.filter((product) => product.online !== false)
  const worth = (product: Product) =>
    JSON.stringify([product.price_minor, product.currency, product.rides, product.networks, product.passback_minutes, product.riders, product.valid])
  const bound = new Set(products.filter((product) => product.proof).map(worth))
  const shown = products.filter((product) => product.proof || !bound.has(worth(product)))
  return shown.sort((a, b) => Number(b.proof) - Number(a.proof) || a.price_minor - b.price_minor)
}
