/** The text of `git diff` of one file as a table. Loaded when the first one is opened. */
import 'react-diff-view/style/index.css';
import { useMemo } from 'react';
import { Diff, Hunk, parseDiff } from 'react-diff-view';
import classes from './patch.module.css';

/** `patch` is base64, because files need not be text. */
export default function Patch({ patch, cut }: { patch: string; cut: boolean }) {
  const file = useMemo(() => parsed(patch), [patch]);
  if (file === undefined) return <p className={classes.aside}>The contents are the same: only mode or time differ.</p>;
  if (file === null || file.isBinary)
    return <p className={classes.aside}>It is not text: only its size can be shown.</p>;
  return (
    <div className={classes.patch}>
      <Diff viewType="unified" diffType={file.type} hunks={file.hunks}>
        {(hunks) => hunks.map((hunk) => <Hunk key={hunk.content} hunk={hunk} />)}
      </Diff>
      {cut && <p className={classes.aside}>There is more: only the first mebibyte of a difference is shown.</p>}
    </div>
  );
}

/** Return the file of a patch: undefined without any difference, null when it cannot be understood. */
function parsed(patch: string) {
  if (patch === '') return undefined;
  try {
    const bytes = Uint8Array.from(atob(patch), (each) => each.charCodeAt(0));
    return parseDiff(new TextDecoder().decode(bytes))[0] ?? null;
  } catch {
    return null;
  }
}
