import { readFileSync } from 'node:fs';
import react from '@vitejs/plugin-react';
import { defineConfig, minify, type Plugin, transformWithOxc } from 'vite';

// `npm run dev` shows the sources of this folder before a server at FLOW_URL; cookies pass through.
const server = process.env.FLOW_URL ?? 'http://127.0.0.1:8080';

const RECOVER = new URL('./src/app/recover.ts', import.meta.url).pathname;

/** Put what loads a page again into the page: as a file it could be lost like others. */
const recovery: Plugin = {
  name: 'recovery',
  transformIndexHtml: {
    order: 'post',
    async handler(page) {
      const { code } = await transformWithOxc(readFileSync(RECOVER, 'utf8'), RECOVER);
      const small = await minify(RECOVER, `(() => {${code}})();`);
      return page.replace('<!-- recover -->', () => `<script>${small.code}</script>`);
    },
  },
};

export default defineConfig({
  plugins: [react(), recovery],
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
