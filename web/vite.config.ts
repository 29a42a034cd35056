import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

// `npm run dev` shows the sources of this folder before a server at FLOW_URL; cookies pass through.
const server = process.env.FLOW_URL ?? 'http://127.0.0.1:8080';

export default defineConfig({
  plugins: [react()],
  resolve: { alias: { '@': new URL('./src', import.meta.url).pathname } },
  build: {
    outDir: '../src/flowbuild/web/static',
    emptyOutDir: true,
    target: 'es2023',
    assetsInlineLimit: 0, // the policy of the pages allows no data: addresses but for pictures
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: Object.fromEntries(['/api', '/git', '/hooks'].map((path) => [path, { target: server, ws: false }])),
  },
});
