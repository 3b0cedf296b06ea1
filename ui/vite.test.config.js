// Bundles the tests of the page's pure parts for Node's own test runner: `npm test`.

import { readdirSync } from 'node:fs'

import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig } from 'vite'

const names = readdirSync('test').filter((name) => name.endsWith('.test.ts')).map((name) => name.replace('.test.ts', ''))

export default defineConfig({
  plugins: [svelte()],
  publicDir: false,
  ssr: { noExternal: true },
  build: {
    ssr: true,
    outDir: '../.cache/page-tests',
    emptyOutDir: true,
    minify: false,
    rolldownOptions: {
      input: Object.fromEntries(names.map((name) => [name, `test/${name}.test.ts`])),
      output: { entryFileNames: '[name].test.mjs' },
    },
  },
})
