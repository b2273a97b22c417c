// What this device remembers, in IndexedDB: tickets with their keys (as objects that cannot be read out), and purchases
// under way. Cookies and localStorage could hold neither.
import type { Attempt, Ticket } from './types'

const NAME = 'takt-wallet'
const VERSION = 1

type Store = 'tickets' | 'attempts'

function opened(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, VERSION)
    request.onupgradeneeded = () => {
      request.result.createObjectStore('tickets', { keyPath: 'id' })
      request.result.createObjectStore('attempts', { keyPath: 'key' })
    }
    request.onsuccess = () => {
      request.result.onversionchange = () => request.result.close()
      resolve(request.result)
    }
    request.onerror = () => reject(request.error ?? new Error('IndexedDB'))
    request.onblocked = () => reject(new Error('IndexedDB is held by another page'))
  })
}

let database: Promise<IDBDatabase> | null = null
const connection = () => (database ??= opened())

function read<T>(store: Store): Promise<T[]> {
  return connection().then(
    (db) =>
      new Promise((resolve, reject) => {
        const request = db.transaction(store).objectStore(store).getAll() as IDBRequest<T[]>
        request.onsuccess = () => resolve(request.result)
        request.onerror = () => reject(request.error ?? new Error('IndexedDB'))
      }),
  )
}

/** Changes in one transaction: all of them, on disk, or none. */
async function write(stores: Store[], change: (transaction: IDBTransaction) => void): Promise<void> {
  const db = await connection()
  await new Promise<void>((resolve, reject) => {
    const transaction = db.transaction(stores, 'readwrite', { durability: 'strict' })
    change(transaction)
    transaction.oncomplete = () => resolve()
    transaction.onerror = transaction.onabort = () => reject(transaction.error ?? new Error('IndexedDB'))
  })
}

export const readTickets = (): Promise<Ticket[]> => read<Ticket>('tickets')
export const readAttempts = (): Promise<Attempt[]> => read<Attempt>('attempts')

/** Writes a new purchase down unless one is under way already, in whichever tab; that one is returned instead. */
export async function startAttempt(attempt: Attempt): Promise<Attempt> {
  let under: Attempt = attempt
  await write(['attempts'], (transaction) => {
    const attempts = transaction.objectStore('attempts')
    const asked = attempts.getAll() as IDBRequest<Attempt[]>
    asked.onsuccess = () => {
      under = asked.result[0] ?? attempt
      if (under === attempt) attempts.put(attempt)
    }
  })
  return under
}

export const keepAttempt = (attempt: Attempt): Promise<void> =>
  write(['attempts'], (transaction) => transaction.objectStore('attempts').put(attempt))

export const dropAttempt = (key: string): Promise<void> =>
  write(['attempts'], (transaction) => transaction.objectStore('attempts').delete(key))

export const keepTickets = (tickets: Ticket[]): Promise<void> =>
  write(['tickets'], (transaction) => {
    for (const ticket of tickets) transaction.objectStore('tickets').put(ticket)
  })

export const dropTicket = (id: string): Promise<void> =>
  write(['tickets'], (transaction) => transaction.objectStore('tickets').delete(id))

/** The purchase becomes the ticket: never both, never neither. */
export const exchange = (attempt: Attempt, ticket: Ticket): Promise<void> =>
  write(['tickets', 'attempts'], (transaction) => {
    transaction.objectStore('tickets').put(ticket)
    transaction.objectStore('attempts').delete(attempt.key)
  })
