// The key that a ticket is bound to: made here, one for each ticket so that no two can be joined, and it cannot leave.

const ED25519 = 'Ed25519'
const P256: EcKeyGenParams & EcdsaParams = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

export interface DeviceKey {
  key: CryptoKeyPair
  /** The public part, as a sale takes it. */
  jwk: JsonWebKey
}

/** A key pair whose private part no script can read: Ed25519, or P-256 in a browser that has not learnt it yet. */
export async function makeDeviceKey(): Promise<DeviceKey> {
  let key: CryptoKeyPair
  try {
    key = (await crypto.subtle.generateKey(ED25519, false, ['sign', 'verify'])) as CryptoKeyPair
  } catch {
    key = (await crypto.subtle.generateKey(P256, false, ['sign', 'verify'])) as CryptoKeyPair
  }
  const { kty, crv, x, y } = await crypto.subtle.exportKey('jwk', key.publicKey)
  return { key, jwk: y === undefined ? { kty: kty!, crv: crv!, x: x! } : { kty: kty!, crv: crv!, x: x!, y } }
}

/** The 64-byte signature of a message (Ed25519, or ES256 as r then s). */
export async function sign(key: CryptoKey, message: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.sign(key.algorithm.name === ED25519 ? ED25519 : P256, key, message))
}
