import { beforeEach, expect, test, vi } from 'vitest';
import type { LogPage, LogText } from '@/api';
import type { Arrivals } from './batch';
import { type LogLine, type LogSource, LogStore, type StreamHandlers } from './store';

beforeEach(() => {
  vi.useFakeTimers();
});

const chunk = (line: number, text = `line ${line}\n`, service = 'a'): LogText => ({
  step: 's',
  attempt: 1,
  service,
  stream: 'stdout',
  time_ns: line * 1e9,
  offset: line * 100,
  line,
  text,
  base64: null,
});

/** A log of `total` lines without some of them; answers hold at most `most` lines. */
function source(total: number, { without = [] as number[], most = 100_000, ended = true, every = 1 } = {}) {
  const asked: { line?: number; limit?: number; service?: string }[] = [];
  let handlers: StreamHandlers | undefined;
  const made: LogSource = {
    read: async ({ line = 1, limit = 1000, service }): Promise<LogPage> => {
      asked.push({ line, limit, service });
      const lines: number[] = [];
      for (let each = line; each <= total && lines.length < Math.min(limit, most); each++) {
        if (!without.includes(each) && (!service || each % every === 0)) lines.push(each);
      }
      return { lines: total, attempt: 1, next: total * 100, ended, chunks: lines.map((each) => chunk(each)) };
    },
    follow: (given) => {
      handlers = given;
      return { stop: () => {}, wholeChanged: () => {} };
    },
  };
  return {
    made,
    asked,
    arrive: (each: LogText) => handlers?.take({ chunks: [each], opening: [], closing: [], services: [] }),
    pass: (arrivals: Arrivals) => handlers?.take(arrivals),
    finish: () => handlers?.end(),
  };
}

const texts = (store: LogStore, lines: number[]) => lines.map((line) => store.line(line)?.text);
const span = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, at) => from + at);

async function opened(made: LogSource) {
  const store = new LogStore(made, (tell) => {
    tell();
    return 0;
  });
  await store.open();
  return store;
}

test('lines in view are fetched, and some around them', async () => {
  const { made, asked } = source(10_000);
  const store = await opened(made);
  expect(store.total).toBe(10_000);
  store.want(span(5000, 5040));
  await vi.runAllTimersAsync();
  expect(texts(store, [5000, 5040, 5200])).toEqual(['line 5000', 'line 5040', 'line 5200']);
  expect(store.line(1)).toBeUndefined();
  store.want(span(5010, 5050));
  await vi.runAllTimersAsync();
  expect(asked).toHaveLength(2); // one at the opening, one for all in view
});

test('what is passed by is not asked for', async () => {
  const { made, asked } = source(100_000);
  const store = await opened(made);
  store.want(span(1, 40));
  await vi.advanceTimersByTimeAsync(1);
  for (const at of [20_000, 40_000, 60_000]) store.want(span(at, at + 40));
  await vi.runAllTimersAsync();
  expect(asked.map((each) => each.line)).not.toContain(20_000);
  expect(texts(store, [60_001])).toEqual(['line 60001']);
});

test('answers that are cut are gone on with', async () => {
  const { made } = source(1000, { most: 7 });
  const store = await opened(made);
  store.want(span(500, 560));
  await vi.runAllTimersAsync();
  expect(span(500, 560).every((line) => store.line(line))).toBe(true);
});

test('lines that the log does not have are known to be gone', async () => {
  const { made, asked } = source(50, { without: [10, 50] });
  const store = await opened(made);
  store.want(span(1, 50));
  await vi.runAllTimersAsync();
  expect(store.line(10)).toBeNull();
  expect(store.line(50)).toBeNull();
  expect(store.line(11)?.text).toBe('line 11');
  expect(asked.length).toBeLessThan(5);
});

test('of a service only its lines are asked for', async () => {
  const { made, asked } = source(10_000, { every: 100 });
  const store = await opened(made);
  store.want([100, 200, 300, 9900], 'a');
  await vi.runAllTimersAsync();
  expect(texts(store, [100, 9900])).toEqual(['line 100', 'line 9900']);
  expect(asked.slice(1).every((each) => each.service === 'a')).toBe(true);
});

test('memory is bounded, and what is in view stays', async () => {
  const { made } = source(200_000);
  const store = await opened(made);
  for (let at = 1; at < 200_000; at += 400) {
    store.want(span(at, at + 40));
    await vi.runAllTimersAsync();
  }
  const held = span(1, 200_000).filter((line) => store.line(line));
  expect(held.length).toBeGreaterThan(20_000);
  expect(held.length).toBeLessThan(45_000);
  expect(held).toContain(199_640);
});

test('what arrives is put behind, once', async () => {
  const { made, arrive, finish } = source(3, { ended: false });
  const store = await opened(made);
  const seen: number[] = [];
  store.onArrival((line: LogLine) => seen.push(line.number));
  arrive(chunk(3)); // told again after a connection broke
  arrive(chunk(4, '::group::Tests\n'));
  arrive(chunk(4, '::group::Tests\n'));
  arrive({ ...chunk(5, 'half'), offset: 500 });
  arrive({ ...chunk(5, ' and half\n'), offset: 504 });
  expect(seen).toEqual([4, 5]);
  expect(store.total).toBe(5);
  expect(store.opening).toEqual([4]);
  expect(store.line(5)?.text).toBe('half and half');
  finish();
  expect(store.ended).toBe(true);
});

test('lines that were passed by are fetched when they are looked at', async () => {
  const { made, pass } = source(900, { ended: false });
  const store = await opened(made);
  pass({ chunks: [chunk(5000)], opening: [1200], closing: [1300], services: ['b'] });
  expect(store.total).toBe(5000);
  expect(store.opening).toEqual([1200]);
  expect(store.services).toEqual(['b', 'a']);
  store.want(span(800, 810));
  await vi.runAllTimersAsync();
  expect(texts(store, [805])).toEqual(['line 805']);
});

test('an error is told, and asking again fetches what is in view, by the stream that there is', async () => {
  const { made } = source(10, { ended: false });
  const { read, follow } = made;
  made.follow = vi.fn(follow);
  const store = await opened(made);
  made.read = async () => {
    throw new Error('away');
  };
  store.want([1, 2]);
  await vi.runAllTimersAsync();
  expect(store.error).toBeInstanceOf(Error);
  expect(store.ready).toBe(true);
  made.read = read;
  await store.retry();
  expect(store.error).toBeUndefined();
  expect(texts(store, [2])).toEqual(['line 2']);
  expect(made.follow).toHaveBeenCalledOnce();
});

test('what could not be opened is opened by asking again', async () => {
  const { made } = source(10);
  const { read } = made;
  made.read = async () => {
    throw new Error('away');
  };
  const store = await opened(made);
  expect(store.ready).toBe(false);
  expect(store.error).toBeInstanceOf(Error);
  made.read = read;
  await store.retry();
  expect(store).toMatchObject({ ready: true, total: 10, error: undefined });
});
