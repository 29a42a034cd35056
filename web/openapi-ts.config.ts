import { defineConfig } from '@hey-api/openapi-ts';

// The client of the REST API, from its committed description. The build makes it; nothing of it is written by hand.
export default defineConfig({
  input: '../schema/openapi.json',
  output: { path: 'src/api/generated', clean: true },
  parser: {
    filters: {
      // Streams are EventSources (src/api/stream.ts); the other two are not for browsers.
      operations: {
        exclude: ['/^GET .*\\/(events|stream)$/', '/^[A-Z]+ \\/api\\/v1\\/runner\\//', '/^[A-Z]+ \\/hooks\\//'],
      },
      orphans: true,
    },
  },
  plugins: [
    '@hey-api/typescript',
    { name: '@hey-api/client-fetch', throwOnError: true },
    { name: '@hey-api/sdk', operations: { strategy: 'flat' } },
    '@tanstack/react-query',
  ],
});
