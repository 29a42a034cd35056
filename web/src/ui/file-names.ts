/** Names of files, which may be any bytes, as something that can be read and cannot deceive. */

// Characters that are not seen, or that change the direction in which the rest is written.
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}]/gu;

/** Return a name with all that cannot be seen in it spelled out. */
export function shown(name: string): string {
  return name.replace(UNSEEN, (each) => `\\u${(each.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`);
}

/** Return the directory of a path with a slash behind it, and the name in it. */
export function parted(path: string): [directory: string, name: string] {
  const at = path.lastIndexOf('/') + 1;
  return [path.slice(0, at), path.slice(at)];
}

/** Return a path as the API wants it (raw bytes percent-encoded) as text: bytes that are no UTF-8 as \xff. */
export function readable(path: string): string {
  return shown(textOf(bytesOf(path)));
}

/** Return a path, percent-encoded in whatever way, in the one way in which the API does it: paths are compared. */
export function encoded(path: string): string {
  const kept = /[\w.~/-]/;
  const signs = Array.from(
    bytesOf(path),
    (byte) => [String.fromCharCode(byte), byte.toString(16).toUpperCase()] as const,
  );
  return signs.map(([sign, hex]) => (sign < '\x80' && kept.test(sign) ? sign : `%${hex.padStart(2, '0')}`)).join('');
}

function bytesOf(path: string): Uint8Array {
  const bytes: number[] = [];
  for (const [, hex, text] of path.matchAll(/%([0-9a-f]{2})|([^%]+|%)/gi)) {
    if (hex) bytes.push(Number.parseInt(hex, 16));
    else bytes.push(...new TextEncoder().encode(text));
  }
  return Uint8Array.from(bytes);
}

function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return Array.from(bytes, (byte) =>
      byte < 0x80 ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`,
    ).join('');
  }
}

/** Return the paths of the directories that a path is in, the outermost first, without the top. */
export function above(path: string): string[] {
  const names = path.split('/');
  return names.slice(1).map((_, at) => names.slice(0, at + 1).join('/'));
}
