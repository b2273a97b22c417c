// The seam to whoever takes the money. A form shows itself, deals with the card on its own ground (a bank's page, hosted
// fields, a wallet of the phone) and gives back a token for a payment method. No card number ever comes to this page.
import type { FunctionComponent } from 'preact'
import { useStore } from '../data/store'
import type { Instance, Product } from '../data/types'
import { SimulatedBank } from './simulatedBank'

export interface PaymentFormProps {
  product: Product
  /** To whom, as the passenger should read it. */
  merchant: string
  onMethod: (token: string) => void
  onCancel: () => void
}

export type PaymentForm = FunctionComponent<PaymentFormProps>

/** The form of this installation; null where nothing is sold on the page: it then shows prices and says where to buy. */
export const paymentForm = (instance: Instance): PaymentForm | null => (instance.demo ? SimulatedBank : null)

/** Whether this page sells; true until it is known. */
export const useSells = (): boolean => useStore((state) => state.instance === null || paymentForm(state.instance) !== null)
