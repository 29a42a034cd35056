import { expect, it } from 'vitest';
import { directionFor, extent, stepTowards } from './scene';

it('the graph goes where the room is', () => {
  expect(directionFor({ width: 1200, height: 340 })).toBe('right');
  expect(directionFor({ width: 540, height: 780 })).toBe('down');
  expect(directionFor({ width: 390, height: 388 })).toBe('down'); // a phone
  expect(directionFor({ width: 550, height: 300 })).toBe('right'); // one of two runs side by side
});

it('arrows lead to the nearest step in their direction', () => {
  const size = { width: 100, height: 40 };
  const boxes = new Map([
    ['a', { x: 0, y: 0, ...size }],
    ['b', { x: 200, y: 0, ...size }],
    ['c', { x: 200, y: 80, ...size }],
    ['far', { x: 900, y: 0, ...size }],
  ]);
  expect(stepTowards(boxes, 'a', 'ArrowRight')).toBe('b');
  expect(stepTowards(boxes, 'b', 'ArrowDown')).toBe('c');
  expect(stepTowards(boxes, 'c', 'ArrowLeft')).toBe('a');
  expect(stepTowards(boxes, 'b', 'ArrowRight')).toBe('far');
  expect(stepTowards(boxes, 'a', 'ArrowUp')).toBeUndefined();
  expect(stepTowards(boxes, 'a', 'Enter')).toBeUndefined();
});

it('edges that go around the steps belong to what has to be seen', () => {
  const boxes = new Map([['a', { x: 10, y: 10, width: 100, height: 40 }]]);
  expect(extent({ boxes, frames: [], ways: {} })).toEqual({ x: 10, y: 10, width: 100, height: 40 });
  const ways = {
    e: [
      { x: 110, y: 30 },
      { x: 180, y: 90 },
      { x: -5, y: 30 },
    ],
  };
  expect(extent({ boxes, frames: [], ways })).toEqual({ x: -5, y: 10, width: 185, height: 80 });
});
