import { expect, test } from 'vitest';
import type { LogText } from '@/api';
import { Batch, KEPT } from './batch';

const chunk = (line: number, text = 'x\n', service = 'a'): LogText => ({
  step: 's',
  attempt: 1,
  service,
  stream: 'stdout',
  time_ns: 0,
  offset: line,
  line,
  text,
  base64: null,
});

test('few lines are all kept, once', () => {
  const batch = new Batch();
  batch.add(chunk(1));
  batch.add(chunk(2));
  expect(batch.take(false).chunks.map((each) => each.line)).toEqual([1, 2]);
  expect(batch.empty).toBe(true);
  expect(batch.take(false)).toEqual({ chunks: [], opening: [], closing: [], services: [] });
});

test('of very many the latest are kept, and what has to be known of the others', () => {
  const batch = new Batch();
  batch.add(chunk(1, '::group::Tests\n', 'b'));
  batch.add(chunk(2, '::endgroup::\n'));
  for (let line = 3; line <= KEPT + 2; line++) batch.add(chunk(line));
  const taken = batch.take(false);
  expect([taken.chunks[0]?.line, taken.chunks.length]).toEqual([3, KEPT]);
  expect(taken).toMatchObject({ opening: [1], closing: [2], services: ['b', 'a'] });
});

test('all are kept for who looks at each', () => {
  const batch = new Batch();
  for (let line = 1; line <= KEPT + 2; line++) batch.add(chunk(line));
  expect(batch.take(true).chunks).toHaveLength(KEPT + 2);
});
