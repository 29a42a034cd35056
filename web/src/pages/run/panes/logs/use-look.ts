/** How lines are shown, as the reader likes it: kept by the browser. */
import { useLocalStorage } from '@mantine/hooks';
import type { Times } from './times';

export interface Look {
  times: Times;
  /** To the next kind of times. */
  turnTimes: () => void;
  wrap: boolean;
  turnWrap: () => void;
}

const NEXT: Record<Times, Times> = { off: 'since', since: 'clock', clock: 'off' };

export function useLook(): Look {
  const [kept, setTimes] = useLocalStorage<string>({
    key: 'flow-log-times',
    defaultValue: 'off',
    getInitialValueInEffect: false,
  });
  const [wrap, setWrap] = useLocalStorage({ key: 'flow-log-wrap', defaultValue: true, getInitialValueInEffect: false });
  const times = Object.hasOwn(NEXT, kept) ? (kept as Times) : 'off'; // what a browser keeps may be of another version
  return { times, turnTimes: () => setTimes(NEXT[times]), wrap, turnWrap: () => setWrap(!wrap) };
}
