import { globSync, readFileSync } from 'node:fs';
import ts from 'typescript';
import { expect, test } from 'vitest';

// As scripts/check_sizes.py does for Python. The rule of biome does not count lines inside of JSX.
const MOST = 60; // lines of a function

/** Return the functions of a text that are too long, each with its lines. */
function tooLong(name: string, text: string): string[] {
  const file = ts.createSourceFile(name, text, ts.ScriptTarget.Latest, true);
  const lineAt = (position: number) => file.getLineAndCharacterOfPosition(position).line + 1;
  const found: string[] = [];
  const look = (node: ts.Node) => {
    if (ts.isFunctionLike(node)) {
      const [first, last] = [lineAt(node.getStart()), lineAt(node.end)];
      if (last - first >= MOST) found.push(`${name}:${first}: ${last - first + 1} lines`);
    }
    node.forEachChild(look);
  };
  look(file);
  return found;
}

test('a function that is too long is found, whatever it is made of', () => {
  const lines = (text: string, count: number) => `${text}\n`.repeat(count);
  const component = (count: number) => `export function A() {\nreturn (\n<p>\n${lines('a', count)}</p>\n);\n}\n`;
  expect(tooLong('a.tsx', component(54))).toEqual([]);
  expect(tooLong('a.tsx', component(55))).toEqual(['a.tsx:1: 61 lines']);
  expect(tooLong('a.ts', `const a = () => {\n${lines('b();', 59)}};`)).toEqual(['a.ts:1: 61 lines']);
});

test(`functions have at most ${MOST} lines`, { timeout: 60_000 }, () => {
  const files = globSync('src/**/*.{ts,tsx}').filter((file) => !file.includes('/generated/'));
  expect(files.length).toBeGreaterThan(200);
  expect(files.flatMap((file) => tooLong(file, readFileSync(file, 'utf8')))).toEqual([]);
});
