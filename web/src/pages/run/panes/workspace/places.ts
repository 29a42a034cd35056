/** Addresses of what is in a workspace, for links, pictures and downloads. */

export interface Place {
  run: string;
  commit: string;
}

function address(kind: string, { run, commit }: Place, query: Record<string, string>): string {
  return `/api/v1/runs/${encodeURIComponent(run)}/workspace/${kind}?${new URLSearchParams({ commit, ...query })}`;
}

/** `path`: as the API says it, raw bytes percent-encoded. */
export const fileAt = (place: Place, path: string) => address('file', place, { path });
export const downloadOf = (place: Place, path: string) => address('file', place, { path, download: 'true' });
export const pageAt = (place: Place, path: string) => address('page', place, { path });
export const zipOf = (place: Place, path: string) => address('zip', place, { path });

/**
 * Return the path that a link in a file means, as the API says paths; undefined when it leads out of the workspace or is
 * not one into it. Links of Markdown are percent-encoded as paths of the API are.
 */
export function linked(from: string, link: string): string | undefined {
  if (link === '' || /^[a-z][a-z0-9+.-]*:/i.test(link) || link.startsWith('//') || link.startsWith('#'))
    return undefined;
  const [path = ''] = link.split(/[?#]/);
  const names = path.startsWith('/') ? [] : from.split('/').slice(0, -1);
  for (const name of path.split('/')) {
    if (name === '' || name === '.') continue;
    if (name !== '..') names.push(name);
    else if (names.pop() === undefined) return undefined;
  }
  return names.length > 0 ? names.join('/') : undefined;
}

export type Kind = 'text' | 'markdown' | 'html' | 'image' | 'binary';

/** Return how a file is shown: what the server says of its content decides, its name only how text is laid out. */
export function kindOf(type: string, name: string): Kind {
  if (type.startsWith('image/')) return 'image';
  if (!type.startsWith('text/')) return 'binary';
  if (/\.(md|markdown)$/i.test(name)) return 'markdown';
  return /\.x?html?$/i.test(name) ? 'html' : 'text';
}
