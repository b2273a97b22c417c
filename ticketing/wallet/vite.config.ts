// How the page is built: at /ticket, its files a folder below, and a worker that keeps them for times without a network.
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { defineConfig, type Plugin } from 'vite'

const WORKER = 'sw.js'
/** Letters that neither language needs: fetched if a name has them, not kept. */
const NOT_KEPT = /^index\.html$|inter-(greek|vietnamese)/

/** Tells the worker what to keep: every file of the build, and a version that changes when any of them does. */
function filesForWorker(): Plugin {
  return {
    name: 'files-for-worker',
    generateBundle: {
      order: 'post',
      handler(_, bundle) {
        const worker = bundle[WORKER]
        if (worker?.type !== 'chunk') throw new Error(`${WORKER} is not among the outputs`)
        const hash = createHash('sha256')
        const built = Object.values(bundle).filter((one) => one.fileName !== WORKER)
        for (const one of built) hash.update(one.fileName).update(one.type === 'chunk' ? one.code : one.source)
        const still = readdirSync('public')
        for (const name of still) hash.update(name).update(readFileSync(`public/${name}`))
        const files = [...built.map((one) => one.fileName), ...still].filter((name) => !NOT_KEPT.test(name)).sort()
        worker.code = worker.code
          .replace(/(["'`])__FILES__\1/, JSON.stringify(files))
          .replace('__VERSION__', hash.digest('hex').slice(0, 16))
      },
    },
  }
}

export default defineConfig({
  // The page lies at /ticket and its files under /ticket/: addresses stay relative, for a path prefix before both.
  experimental: {
    renderBuiltUrl: (name, { hostType }) => (hostType === 'html' ? `ticket/${name}` : { relative: true }),
  },
  plugins: [filesForWorker()],
  build: {
    target: 'es2022',
    outDir: 'dist',
    // A strict Content-Security-Policy refuses data: addresses, so even small assets stay files.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      input: { index: 'index.html', worker: 'src/worker/sw.ts' },
      output: { entryFileNames: (chunk) => (chunk.name === 'worker' ? WORKER : 'assets/[name]-[hash].js') },
    },
  },
})
