/** The text of `git diff` of one file as a table. Loaded when the first one is opened. */
import 'react-diff-view/style/index.css';
import { Button } from '@mantine/core';
import { useMediaQuery } from '@mantine/hooks';
import { useMemo, useState } from 'react';
import { Decoration, Diff, Hunk, parseDiff } from 'react-diff-view';
import classes from './changed.module.css';
import { limited } from './limit';

export type DiffView = 'unified' | 'split';
const AT_ONCE = 2000; // lines

export default function Patch({ patch, cut, view }: { patch: string; cut: boolean; view: DiffView }) {
  const [most, setMost] = useState(AT_ONCE);
  const narrow = useMediaQuery('(max-width: 48em)');
  const file = useMemo(() => parsed(patch), [patch]);
  if (file === undefined) return <p className={classes.aside}>The contents are the same: only mode or time differ.</p>;
  if (file === null || file.isBinary)
    return <p className={classes.aside}>It is not text: only its size and whether it changed can be shown.</p>;
  const { hunks, left } = limited(file.hunks, most);
  if (hunks.length === 0)
    return (
      <p className={classes.aside}>
        The contents are the same: only the mode differs{modes(file.oldMode, file.newMode)}.
      </p>
    );
  return (
    <div className={classes.patch}>
      <Diff viewType={narrow ? 'unified' : view} diffType={file.type} hunks={hunks}>
        {(shown) =>
          shown.flatMap((hunk) => [
            <Decoration key={`at ${hunk.content}`}>
              <span className={classes.hunk}>{hunk.content}</span>
            </Decoration>,
            <Hunk key={hunk.content} hunk={hunk} />,
          ])
        }
      </Diff>
      {left > 0 && (
        <p className={classes.aside}>
          {left.toLocaleString('en')} more lines.{' '}
          <Button variant="default" size="compact-xs" onClick={() => setMost(most + AT_ONCE)}>
            Show more
          </Button>
        </p>
      )}
      {left === 0 && cut && (
        <p className={classes.aside}>There is more: only the first mebibyte of a difference is shown.</p>
      )}
    </div>
  );
}

const modes = (before?: string, after?: string) =>
  before && after && before !== after ? ` (${before}, now ${after})` : '';

/** Return the file of a patch: undefined without any difference, null when it cannot be understood. */
function parsed(patch: string) {
  if (patch === '') return undefined;
  const bytes = Uint8Array.from(atob(patch), (each) => each.charCodeAt(0));
  try {
    return parseDiff(new TextDecoder().decode(bytes))[0] ?? null;
  } catch {
    return null;
  }
}
