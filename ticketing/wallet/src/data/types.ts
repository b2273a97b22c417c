// What the interface sends and takes, and what this device remembers.

export interface Instance {
  name: string
  timezone: string
  demo: boolean
  currency: string
}

export interface Product {
  id: string
  name: { uk: string; en: string }
  price_minor: number
  currency: string
  rides: number | null
  networks: string[]
  /** What the networks are called, in their order; tickets bought long ago have none. */
  network_names?: { uk: string; en: string }[]
  passback_minutes: number
  /** How many travel on it together, by one use; tickets bought long ago do not say. */
  riders?: number
  /** For how long from its start: one of the five. */
  valid?: Partial<Record<'hours' | 'days' | 'service_days' | 'months' | 'calendar_months', number | null>>
  proof: boolean
  /** What it brings that is given back: all of it unused, for some days; of a used one nothing or the rest. */
  refund?: { days: number; used: 'none' | 'rest' }
  /** Whether it may be sold where nobody sees who buys it. */
  online?: boolean
}

/** What was paid for what, and when (Unix seconds). */
export interface Receipt {
  number: string
  product: { uk: string; en: string }
  amount_minor: number
  currency: string
  paid_at: number
}

export type Verdict =
  | 'accepted'
  | 'malformed'
  | 'unknown_key'
  | 'bad_signature'
  | 'stale_proof'
  | 'unknown'
  | 'not_yet_valid'
  | 'expired'
  | 'revoked'
  | 'suspended'
  | 'denied'
  | 'used_up'

/** How a ticket stands, as the server told it. */
export interface Standing {
  verdict: Verdict
  id: string | null
  uses: number | null
  uses_allowed: number | null
  last_used_at: number | null
  last_place: string | null
  /** What was given back for it (minor units), and when; null where nothing was, missing from an older server. */
  refunded_minor?: number | null
  refunded_at?: number | null
}

/** A ticket on this device: what was bought, the key that it is bound to, and what was last heard of it. */
export interface Ticket {
  id: string
  token: string
  product: Product
  validFrom: number
  validUntil: number
  boughtAt: number
  purchaseId: string
  receipt: Receipt | null
  key: CryptoKeyPair
  standing: Standing | null
  /** When the server told it, in Unix seconds; null until it has. */
  heardAt: number | null
}

/** A purchase under way. It is written down before it is sent, so that neither a reload nor a lost answer buys twice. */
export interface Attempt {
  /** The Idempotency-Key: the same purchase however often it is sent. */
  key: string
  product: Product
  methodToken: string
  deviceKey: CryptoKeyPair
  jwk: JsonWebKey
  startedAt: number
  purchaseId: string | null
}
