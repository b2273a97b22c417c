// The code as it is shown: base45 of the CBOR array [ticket, time, signature], fresh every few seconds.
//
// The device signs "takt-proof-v1" NUL and the CBOR of [ticket, time] (Unix seconds), so a photograph of the code is
// worth nothing once its time is past. The ticket itself is signed by its issuer and never changes.
import { decode, encode } from './base45'
import { sign } from './device'

/** A new proof comes this often; a validator takes one of up to 30 s. */
export const RENEW_S = 5
/** Older than this the code is not shown: something has stopped it from being renewed. */
export const STALE_S = 20

export interface Code {
  text: string
  /** Unix seconds by the server's clock. */
  madeAt: number
}

const PREFIX = new TextEncoder().encode('takt-proof-v1\0')

/** A CBOR head: major type and value, in the shortest form. */
function head(major: number, value: number): number[] {
  const type = major << 5
  if (value < 24) return [type | value]
  if (value < 0x100) return [type | 24, value]
  if (value < 0x10000) return [type | 25, value >> 8, value & 0xff]
  return [type | 26, value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff]
}

function joined(...parts: ArrayLike<number>[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

const byteString = (bytes: Uint8Array) => joined(head(2, bytes.length), bytes)

/** The ticket's token with a proof of this second. */
export async function freshCode(token: string, key: CryptoKey, atS: number): Promise<Code> {
  const ticket = byteString(decode(token))
  const time = head(0, Math.floor(atS))
  const signature = await sign(key, joined(PREFIX, head(4, 2), ticket, time))
  return { text: encode(joined(head(4, 3), ticket, time, byteString(signature))), madeAt: atS }
}
