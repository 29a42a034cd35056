import { expect, test } from 'vitest';
import { Heights } from './heights';
import { Position } from './position';

const ROW = 20; // pixels
const VIEW = 400;

/** Rows on a page without a browser: `high` are the heights that are found when a row is rendered. */
function page(count: number, high: Record<number, number> = {}) {
  const bar = { scrollTop: 0, clientHeight: VIEW, firstElementChild: { style: {} } as HTMLElement };
  const heights = new Heights(ROW);
  const extent = { heights, count, height: VIEW };
  let stale = false;
  const position = new Position({ current: bar }, () => {
    stale = true;
  });
  const measure = () => {
    const [first, last] = position.range;
    const found = Object.entries(high).filter(([row]) => Number(row) >= first && Number(row) <= last);
    return found.map(([row, height]) => heights.set(Number(row), height)).includes(true);
  };
  const render = (follow = false) => {
    let times = 0;
    do {
      stale = false;
      position.update(extent);
      position.settle(measure, follow);
    } while (stale && ++times < 10);
    expect(stale, 'it comes to rest').toBe(false);
  };
  return { bar, heights, extent, position, render };
}

test('a row that is gone to comes to the middle, whatever the rows around it turn out to be', () => {
  const { bar, heights, position, render } = page(10_000, { 4995: 300, 5000: 60, 5003: 100 });
  render();
  position.show(5000);
  render();
  expect(bar.scrollTop).toBe(heights.offset(5000) + 30 - VIEW / 2);
  expect(position.range[0]).toBeLessThanOrEqual(4995);
  expect(position.range[1]).toBeGreaterThan(5003);
});

test('a row that is in view stays where it is', () => {
  const { bar, position, render } = page(100);
  render();
  position.show(10);
  render();
  expect(bar.scrollTop).toBe(0);
});

test('a row may be gone to before anything is laid out', () => {
  const { bar, extent, position, render } = page(1000);
  extent.height = 0;
  position.update(extent);
  position.show(500);
  extent.height = VIEW;
  render();
  expect(bar.scrollTop).toBe(500 * ROW + ROW / 2 - VIEW / 2);
});

test('the end stays in view while rows come, for those who follow', () => {
  const { bar, extent, render } = page(100, { 120: 500 });
  render(true);
  expect(bar.scrollTop).toBe(100 * ROW - VIEW);
  extent.count = 130;
  render(true);
  expect(bar.scrollTop).toBe(130 * ROW + 480 - VIEW);
  extent.count = 140;
  render(false);
  expect(bar.scrollTop).toBe(130 * ROW + 480 - VIEW);
});

test('rows in view stay there when rows above them are found to be higher', () => {
  const high: Record<number, number> = {};
  const { bar, position, render } = page(1000, high);
  render();
  bar.scrollTop = 5000;
  position.scrolled();
  render();
  const top = position.top();
  high[245] = 90; // made, but above what can be seen
  render();
  expect(bar.scrollTop).toBe(5070);
  expect(position.top()).toBe(top);
});

test('the bar tells whether the reader is at the end, and nothing when it was moved by us', () => {
  const { bar, position, render } = page(1000);
  render();
  bar.scrollTop = 300;
  expect(position.scrolled()).toBe(false);
  bar.scrollTop = 1000 * ROW - VIEW;
  expect(position.scrolled()).toBe(true);
  expect(position.scrolled()).toBeUndefined();
  position.show(3);
  expect(position.scrolled()).toBeUndefined();
});

test('scrolling gives up what one was on the way to', () => {
  const high: Record<number, number> = { 500: 21 };
  const { bar, position, render } = page(1000, high);
  render();
  position.show(500);
  bar.scrollTop = 2000;
  position.scrolled();
  render();
  expect(bar.scrollTop).toBe(2000);
});
