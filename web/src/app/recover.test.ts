import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

const reload = vi.fn();
const answer = vi.fn<() => Promise<{ ok: boolean }>>();
const here = async () => ({ ok: true });
const away = () => Promise.reject(new TypeError('Failed to fetch'));
const LONG = 29_000; // milliseconds; less than what counts as lately

class Script extends EventTarget {}
class Link extends EventTarget {
  constructor(readonly rel: string) {
    super();
  }
}

/** Load the page anew in the same tab. */
async function open() {
  vi.resetModules();
  vi.stubGlobal('window', Object.assign(new EventTarget(), { location: { reload } }));
  vi.stubGlobal('HTMLScriptElement', Script);
  vi.stubGlobal('HTMLLinkElement', Link);
  vi.stubGlobal('document', { getElementById: () => ({ childElementCount: 1 }) });
  await import('./recover' as string); // a script, no module: it has nothing to export
}
const lose = () => window.dispatchEvent(new Event('vite:preloadError'));
/** Tell as browsers do, of an element that is loaded in vain. */
const loseElement = (target: EventTarget) =>
  window.dispatchEvent(Object.defineProperty(new Event('error'), 'target', { value: target }));

beforeEach(() => {
  vi.useFakeTimers();
  const kept = new Map<string, string>();
  vi.stubGlobal('sessionStorage', {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => kept.set(key, value),
  });
  vi.stubGlobal('fetch', answer.mockImplementation(here));
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.resetAllMocks();
});

describe('a page whose parts do not arrive', () => {
  it('is loaded again', async () => {
    await open();
    await vi.advanceTimersByTimeAsync(LONG);
    expect(reload).not.toHaveBeenCalled();
    lose();
    await vi.advanceTimersByTimeAsync(0);
    expect(reload).toHaveBeenCalledOnce();
  });

  it('is loaded once for parts that are lost together', async () => {
    await open();
    lose();
    lose();
    await vi.advanceTimersByTimeAsync(LONG);
    expect(reload).toHaveBeenCalledOnce();
    expect(JSON.parse(sessionStorage.getItem('flow-recovering') ?? '')).toHaveLength(1);
  });

  it('stays while the server is away', async () => {
    answer.mockImplementation(away);
    await open();
    lose();
    await vi.advanceTimersByTimeAsync(LONG);
    expect(answer).toHaveBeenCalledTimes(3);
    expect(reload).not.toHaveBeenCalled();
    answer.mockImplementation(here);
    lose();
    await vi.advanceTimersByTimeAsync(0);
    expect(reload).toHaveBeenCalledOnce();
  });

  it('asks the server again when that question was lost as well', async () => {
    answer.mockImplementationOnce(away);
    await open();
    lose();
    await vi.advanceTimersByTimeAsync(1000);
    expect(reload).toHaveBeenCalledOnce();
  });

  it('is not loaded for ever, and again after a while', async () => {
    for (let time = 1; time <= 5; time++) {
      await open();
      lose();
      await vi.advanceTimersByTimeAsync(1000);
      expect(reload).toHaveBeenCalledTimes(Math.min(time, 3));
    }
    await vi.advanceTimersByTimeAsync(LONG);
    await open();
    lose();
    await vi.advanceTimersByTimeAsync(0);
    expect(reload).toHaveBeenCalledTimes(4);
  });
});

describe('a page with an element that does not arrive', () => {
  it.each([
    ['a script', new Script(), 1],
    ['a style sheet', new Link('stylesheet'), 1],
    ['an icon', new Link('icon'), 0],
    ['a picture', new EventTarget(), 0],
  ])('is loaded again or not when it is %s', async (_, element, times) => {
    await open();
    loseElement(element);
    await vi.advanceTimersByTimeAsync(0);
    expect(reload).toHaveBeenCalledTimes(times);
  });
});
