/** A text in YAML with what was found in it. Large; load it when it is needed. */
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands';
import { yaml } from '@codemirror/lang-yaml';
import { bracketMatching, HighlightStyle, indentOnInput, indentUnit, syntaxHighlighting } from '@codemirror/language';
import { type Diagnostic, lintGutter, lintKeymap, setDiagnostics } from '@codemirror/lint';
import { highlightSelectionMatches, search, searchKeymap } from '@codemirror/search';
import { EditorState, type Extension } from '@codemirror/state';
import {
  drawSelection,
  EditorView,
  highlightActiveLine,
  highlightActiveLineGutter,
  keymap,
  lineNumbers,
} from '@codemirror/view';
import { tags } from '@lezer/highlight';
import { useEffect, useRef } from 'react';
import type { LintFinding } from '@/api';
import classes from './code-editor.module.css';
import { rangeOf } from './findings';

interface CodeEditorProps {
  /** Another one begins anew: nothing of the one before can be undone into it. */
  path: string;
  text: string;
  onChange: (text: string) => void;
  /** Of this text. */
  findings: LintFinding[];
  /** Where to go; another object goes again. */
  target?: { line: number; column: number };
}

export default function CodeEditor({ path, text, onChange, findings, target }: CodeEditorProps) {
  const place = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView>(undefined);
  const told = useRef(onChange);
  told.current = onChange;

  // biome-ignore lint/correctness/useExhaustiveDependencies: the text is that to begin with; later ones are put in below
  useEffect(() => {
    const changes = EditorView.updateListener.of((update) => {
      if (update.docChanged) told.current(update.state.doc.toString());
    });
    const state = EditorState.create({ doc: text, extensions: [extensions(path), changes] });
    view.current = new EditorView({ state, parent: place.current as HTMLElement });
    return () => view.current?.destroy();
  }, [path]);

  useEffect(() => {
    const editor = view.current;
    if (!editor || editor.state.doc.toString() === text) return;
    editor.dispatch({ changes: { from: 0, to: editor.state.doc.length, insert: text } });
  }, [text]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: another file is another editor, which has no findings yet
  useEffect(() => {
    const editor = view.current;
    if (editor) editor.dispatch(setDiagnostics(editor.state, diagnostics(editor.state.doc.toString(), findings)));
  }, [findings, path]);

  useEffect(() => {
    const editor = view.current;
    if (!editor || !target) return;
    const { from } = rangeOf(editor.state.doc.toString(), { ...target, end_column: target.column });
    editor.dispatch({ selection: { anchor: from }, effects: EditorView.scrollIntoView(from, { y: 'center' }) });
    editor.focus();
  }, [target]);

  return <div ref={place} className={classes.editor} />;
}

function diagnostics(text: string, findings: LintFinding[]): Diagnostic[] {
  return findings.map((finding) => ({
    ...rangeOf(text, finding),
    severity: finding.severity,
    source: finding.code,
    message: finding.hint ? `${finding.message}\n${finding.hint}` : finding.message,
  }));
}

const nonce = () => document.querySelector<HTMLMetaElement>('meta[name="style-nonce"]')?.content ?? '';

function extensions(path: string): Extension {
  return [
    EditorView.cspNonce.of(nonce()),
    EditorView.contentAttributes.of({ 'aria-label': `Text of ${path}`, tabindex: '0' }),
    lineNumbers(),
    lintGutter(),
    history(),
    drawSelection(),
    indentOnInput(),
    indentUnit.of('  '),
    bracketMatching(),
    highlightActiveLine(),
    highlightActiveLineGutter(),
    highlightSelectionMatches(),
    search({ top: true }),
    yaml(),
    syntaxHighlighting(colours),
    keymap.of([...defaultKeymap, ...historyKeymap, ...searchKeymap, ...lintKeymap]), // Tab goes on, as in every other field
    look,
  ];
}

const colours = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: 'var(--code-key)' },
  { tag: [tags.string, tags.special(tags.string)], color: 'var(--code-text)' },
  { tag: [tags.comment, tags.lineComment], color: 'var(--faint)', fontStyle: 'italic' },
  { tag: [tags.keyword, tags.typeName, tags.labelName, tags.meta], color: 'var(--code-mark)' },
  { tag: [tags.punctuation, tags.separator, tags.squareBracket, tags.brace], color: 'var(--faint)' },
]);

const look = EditorView.theme({
  '&': { height: '100%', fontSize: '12.5px', backgroundColor: 'var(--panel)', color: 'var(--mantine-color-text)' },
  '&.cm-focused': { outline: 'none' },
  '.cm-scroller': { fontFamily: 'var(--mantine-font-family-monospace)', lineHeight: '1.6' },
  '.cm-gutters': { backgroundColor: 'var(--panel)', color: 'var(--faint)', border: 'none' },
  '.cm-activeLine, .cm-activeLineGutter': { backgroundColor: 'var(--hover)' },
  '.cm-cursor': { borderLeftColor: 'var(--mantine-color-text)' },
  '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground': {
    background: 'var(--chosen)',
  },
  '.cm-selectionMatch': { backgroundColor: 'var(--chosen)' },
  '.cm-matchingBracket': { backgroundColor: 'var(--chosen)', outline: 'none' },
  '.cm-lintRange-error': {
    backgroundImage: 'none',
    textDecoration: 'underline wavy var(--state-failed) 1px',
    textUnderlineOffset: '3px',
  },
  '.cm-lintRange-warning': {
    backgroundImage: 'none',
    textDecoration: 'underline wavy var(--state-waiting) 1px',
    textUnderlineOffset: '3px',
  },
  '.cm-lintPoint-error:after': { borderBottomColor: 'var(--state-failed)' },
  '.cm-lint-marker': { content: '""', width: '8px', height: '8px', margin: '5px 2px', borderRadius: '50%' },
  '.cm-lint-marker-error': { content: '""', backgroundColor: 'var(--state-failed)' },
  '.cm-lint-marker-warning': { content: '""', backgroundColor: 'var(--state-waiting)' },
  '.cm-tooltip': {
    border: '1px solid var(--line-strong)',
    borderRadius: '8px',
    backgroundColor: 'var(--panel)',
    overflow: 'hidden',
  },
  '.cm-diagnostic': {
    whiteSpace: 'pre-wrap',
    maxWidth: '60ch',
    fontFamily: 'var(--mantine-font-family)',
    fontSize: '12.5px',
  },
  '.cm-diagnostic-error': { borderLeftColor: 'var(--state-failed)' },
  '.cm-diagnostic-warning': { borderLeftColor: 'var(--state-waiting)' },
  '.cm-panels': { backgroundColor: 'var(--panel)', color: 'inherit', borderColor: 'var(--line)' },
});
