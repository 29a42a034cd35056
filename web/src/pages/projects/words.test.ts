import { expect, it } from 'vitest';
import { triggerWords } from './words';

it.each([
  [{}, []],
  [{ push: { branches: ['main', 'release/*'], tags: [] } }, ['push to main, release/*']],
  [{ push: { branches: [], tags: ['v*'] } }, ['push to any branch', 'tag v*']],
  [{ tag: { tags: [] } }, ['tag of any name']],
  [{ pull_request: { branches: ['main'] } }, ['pull request to main']],
  [{ schedule: [{ cron: '0 3 * * *' }, { cron: '0 4 * * *' }] }, ['2 schedules']],
  [{ webhook: { name: 'nightly' } }, ['webhook nightly']],
  [{ after: [{ pipeline: 'build' }] }, ['after build']],
])('%j starts by %j', (triggers, words) => {
  expect(triggerWords(triggers)).toEqual(words);
});
