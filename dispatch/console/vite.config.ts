// How the console is built: relative addresses, so that it also works behind a path prefix, and no inlined files.
import { defineConfig } from 'vite'

export default defineConfig({
  base: './',
  build: {
    target: 'es2022',
    outDir: 'dist',
    // A strict Content-Security-Policy refuses data: addresses, so even small assets stay files.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 1500,
    rolldownOptions: {
      output: {
        // The map's worker is an .mjs file; some servers send that with a type that browsers refuse to run.
        assetFileNames: (asset) =>
          asset.names.some((name) => name.endsWith('.mjs'))
            ? 'assets/[name]-[hash].js'
            : 'assets/[name]-[hash][extname]',
      },
    },
  },
})
