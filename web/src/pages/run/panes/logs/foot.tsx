/** Below a log: how much there is, what is marked, whether news arrive. */
import { Button } from '@mantine/core';
import { IconCopy, IconLink } from '@tabler/icons-react';
import { asProblem } from '@/api';
import { notify } from '@/ui/told';
import { plain } from './ansi';
import classes from './logs.module.css';
import { type Range, useAddresses } from './marks';
import type { ServiceLines } from './service-lines';
import type { AttemptLog } from './source';
import type { LogStore } from './store';
import { lastState, textOf } from './text';

interface FootProps {
  log: AttemptLog;
  store: LogStore;
  shown: ServiceLines | undefined;
  marked: Range | undefined;
  attempt: number;
}

const figure = (value: number) => value.toLocaleString('en');
const MOST_COPIED = 10_000; // lines

export function Foot({ log, store, shown, marked, attempt }: FootProps) {
  const addressOf = useAddresses(attempt);
  const problem = store.error ?? shown?.error;
  const again = () => {
    void store.retry();
    if (shown?.error !== undefined) void shown.load();
  };
  return (
    <div className={classes.foot}>
      <span className="numbers">
        {!store.ended && <span className={classes.pulse} aria-hidden />}
        {shown ? `${figure(shown.numbers.length)}${shown.whole ? '' : '+'} of ` : ''}
        {figure(store.total)} {store.total === 1 ? 'line' : 'lines'}
        {!store.ended && (store.stream === 'away' ? ', no connection: trying again' : ', more may come')}
      </span>
      {problem !== undefined && (
        <span role="alert">
          {asProblem(problem).problem.title}{' '}
          <Button size="compact-xs" variant="default" onClick={again}>
            Try again
          </Button>
        </span>
      )}
      {marked && (
        <span data-right>
          <span className="numbers">
            {marked.from === marked.to
              ? `Line ${figure(marked.from)}`
              : `Lines ${figure(marked.from)} to ${figure(marked.to)}`}
          </span>
          <Button
            size="compact-xs"
            variant="subtle"
            leftSection={<IconLink size={13} aria-hidden />}
            onClick={() =>
              void copied(async () => window.location.origin + addressOf(marked.from, marked.to), 'The link is copied.')
            }
          >
            Copy link
          </Button>
          <Button
            size="compact-xs"
            variant="subtle"
            leftSection={<IconCopy size={13} aria-hidden />}
            onClick={() => void copied(() => read(log, marked), 'The lines are copied.')}
          >
            Copy text
          </Button>
        </span>
      )}
    </div>
  );
}

async function copied(text: () => Promise<string>, message: string) {
  try {
    await navigator.clipboard.writeText(await text());
    notify({ message });
  } catch {
    notify({ color: 'red', message: 'The browser does not let this page copy.' });
  }
}

/** Return lines as they are read on the page. */
async function read(log: AttemptLog, { from, to }: Range): Promise<string> {
  const lines: string[] = [];
  const last = Math.min(to, from + MOST_COPIED - 1);
  for (let next = from; next <= last; ) {
    const { chunks } = await log.read({ line: next, limit: last - next + 1 });
    if (chunks.length === 0) break;
    for (const chunk of chunks) lines[chunk.line - from] = (lines[chunk.line - from] ?? '') + textOf(chunk);
    next = (chunks.at(-1)?.line ?? last) + 1;
  }
  return Array.from(lines, (line) => plain(lastState(line ?? ''))).join('\n');
}
