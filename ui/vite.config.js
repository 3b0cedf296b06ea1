import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig } from 'vite'

// The folder of the package that a bundled module came from, or null for our own code.
function packageFolder(module) {
  const at = module.lastIndexOf('/node_modules/')
  if (at < 0) return null
  const parts = module.slice(at + '/node_modules/'.length).split('/')
  const name = parts[0].startsWith('@') ? parts.slice(0, 2).join('/') : parts[0]
  return join(module.slice(0, at), 'node_modules', name)
}

function notice(folder) {
  const about = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const file = ['LICENSE', 'LICENSE.md', 'LICENSE.txt', 'license'].map((name) => join(folder, name)).find(existsSync)
  const text = file ? readFileSync(file, 'utf8').trim() : 'The package holds no licence file.'
  return `${about.name} ${about.version} (${about.license})\n\n${text}\n`
}

// Writes the licences of what is really in the bundle beside it.
function thirdPartyNotice() {
  return {
    name: 'third-party-notice',
    generateBundle(_options, bundle) {
      const folders = new Set()
      for (const chunk of Object.values(bundle)) {
        for (const module of Object.keys(chunk.modules ?? {})) {
          const folder = packageFolder(module.replace(/^\0/, '').replace(/\?.*$/, ''))
          if (folder && existsSync(join(folder, 'package.json'))) folders.add(folder)
        }
      }
      const source = [...folders].sort().map(notice).join(`\n${'-'.repeat(72)}\n\n`)
      this.emitFile({ type: 'asset', fileName: 'THIRD-PARTY.txt', source })
    },
  }
}

const gateway = process.env.WATCHKEEPER_URL ?? 'http://127.0.0.1:8080'

export default defineConfig({
  plugins: [svelte(), thirdPartyNotice()],
  build: {
    outDir: process.env.WATCHKEEPER_STATIC || join(dirname(import.meta.dirname), 'src', 'watchkeeper', 'gateway', 'static'),
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: { proxy: Object.fromEntries(['/api', '/health', '/ready'].map((path) => [path, gateway])) },
})
