import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig } from 'vitest/config'

// The server that `npm run dev` talks to; a plain `serverlessvideo serve`.
const backend = process.env.SERVERLESSVIDEO_URL ?? 'http://localhost:8080'
const proxied = ['/api', '/live', '/vod', '/whip', '/whep', '/events']

export default defineConfig({
  plugins: [svelte()],
  build: {
    target: 'es2022',
    // The Go binary embeds dist; its placeholder must survive a build.
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
    chunkSizeWarningLimit: 600,
  },
  server: {
    proxy: {
      ...Object.fromEntries(proxied.map((path) => [path, { target: backend, changeOrigin: false }])),
      '/mqtt': { target: backend, ws: true, changeOrigin: false },
    },
  },
  test: { include: ['src/**/*.test.ts'], environment: 'node' },
})
