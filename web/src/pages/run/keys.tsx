/** The keys of the page of a run, and the list of them. */
import { Modal } from '@mantine/core';
import { useEffect, useRef } from 'react';
import { Keys } from '@/ui/small';
import classes from './keys.module.css';

export type KeyMap = Record<string, () => void>;

const TEXT = 'input, textarea, select, [contenteditable], .cm-editor';

/** Whether a key is for the page: not while somebody types, nor while a dialog is open. */
function isForPage(event: Pick<KeyboardEvent, 'ctrlKey' | 'metaKey' | 'altKey' | 'defaultPrevented' | 'target'>) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return false;
  if (event.target instanceof Element && event.target.closest(TEXT)) return false;
  return document.querySelector('[role="dialog"], [role="menu"]') === null;
}

export function useKeys(keys: KeyMap) {
  const current = useRef(keys);
  current.current = keys;
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      const act = current.current[event.key];
      if (!act || !isForPage(event)) return;
      event.preventDefault();
      act();
    };
    window.addEventListener('keydown', press);
    return () => window.removeEventListener('keydown', press);
  }, []);
}

const LIST: [keys: string, what: string][] = [
  ['j k', 'next, previous step'],
  ['f', 'next failure, with its logs'],
  ['e', 'first error in the log'],
  ['l', 'logs'],
  ['c', 'changes'],
  ['w', 'workspace'],
  ['d', 'details'],
  ['o', 'the run as a whole'],
  ['g', 'graph'],
  ['s', 'list of steps'],
  ['t', 'timeline'],
  ['r', 'run again from this step'],
  ['a', 'approve what waits for it'],
  ['← → ↑ ↓', 'within the graph: to the step in that direction'],
  ['?', 'this list'],
];

export function KeyList({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  return (
    <Modal opened={opened} onClose={onClose} title="Keys" size="sm">
      <dl className={classes.list}>
        {LIST.map(([keys, what]) => (
          <div key={keys}>
            <dt>
              <Keys keys={keys} />
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </Modal>
  );
}
