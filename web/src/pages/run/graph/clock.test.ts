import { expect, it } from 'vitest';
import { clock } from './clock';

it('durations are short, and never less exact than seconds below a day', () => {
  expect([0.44, 12.7, 60, 185.9, 7629, 273_600].map(clock)).toEqual([
    '0.4 s',
    '12 s',
    '1:00',
    '3:05',
    '2:07:09',
    '3 d 04 h',
  ]);
});
