// Keeps the page and its files in the browser, so that it opens at once and without a network. Requests to the interface
// pass by it: what tickets are worth is never answered from memory.
export {}
declare const self: ServiceWorkerGlobalScope

const FILES = '__FILES__' as unknown as string[]
const CACHE = 'takt-wallet-__VERSION__'
const OURS = /^takt-wallet-/

/** The page's address: the worker lies in the folder of its files, one below. */
const PAGE = new URL('../ticket', self.location.href).href

self.addEventListener('install', (event) => {
  const keep = async () => {
    const cache = await caches.open(CACHE)
    const addresses = [PAGE, ...FILES.map((name) => new URL(name, self.location.href).href)]
    await cache.addAll(addresses.map((address) => new Request(address, { cache: 'no-cache' })))
    await self.skipWaiting()
  }
  event.waitUntil(keep())
})

self.addEventListener('activate', (event) => {
  const tidy = async () => {
    for (const name of await caches.keys()) if (OURS.test(name) && name !== CACHE) await caches.delete(name)
    await self.clients.claim()
  }
  event.waitUntil(tidy())
})

self.addEventListener('fetch', (event) => {
  const { request } = event
  if (request.method !== 'GET') return
  const address = new URL(request.url)
  address.search = ''
  address.hash = ''
  const kept = address.href === PAGE || address.href.startsWith(`${PAGE}/`)
  if (!kept) return
  const answer = async () => (await (await caches.open(CACHE)).match(address.href, { ignoreVary: true })) ?? fetch(request)
  event.respondWith(answer())
})
