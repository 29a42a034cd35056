/** Addresses of what is in a workspace, for links, pictures and downloads. */
import { encoded } from '@/ui/file-names';

export interface Place {
  run: string;
  commit: string;
}

function address(kind: string, { run, commit }: Place, query: Record<string, string>): string {
  return `/api/v1/runs/${encodeURIComponent(run)}/workspace/${kind}?${new URLSearchParams({ commit, ...query })}`;
}

/**
 * The address of an SVG that is shown as an image: so it runs no script and loads nothing. As `data:` because a browser that
 * opens the image by itself gives it no origin then; `blob:` would be of ours.
 */
export const pictureOf = (text: string) => `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;

/** `path`: as the API says it, raw bytes percent-encoded. */
export const fileAt = (place: Place, path: string) => address('file', place, { path });
export const downloadOf = (place: Place, path: string) => address('file', place, { path, download: 'true' });
export const pageAt = (place: Place, path: string) => address('page', place, { path });
export const zipOf = (place: Place, path: string) => address('zip', place, { path });

/**
 * Return the path that a link in a file means, as the API says paths; undefined when it leads out of the workspace or is
 * not one into it.
 */
export function linked(from: string, link: string): string | undefined {
  if (link === '' || /^[a-z][a-z0-9+.-]*:/i.test(link) || link.startsWith('//') || link.startsWith('#'))
    return undefined;
  const path = encoded(link.split(/[?#]/)[0] ?? '');
  const names = path.startsWith('/') ? [] : from.split('/').slice(0, -1);
  for (const name of path.split('/')) {
    if (name === '' || name === '.') continue;
    if (name !== '..') names.push(name);
    else if (names.pop() === undefined) return undefined;
  }
  return names.length > 0 ? names.join('/') : undefined;
}

export type Kind = 'text' | 'markdown' | 'html' | 'svg' | 'image' | 'binary';

/** Return how a file is shown: what the server says of its content decides, its name only how text is laid out. */
export function kindOf(type: string, name: string): Kind {
  if (type.startsWith('image/')) return 'image';
  if (!type.startsWith('text/')) return 'binary';
  if (/\.(md|markdown)$/i.test(name)) return 'markdown';
  if (/\.svg$/i.test(name)) return 'svg';
  return /\.x?html?$/i.test(name) ? 'html' : 'text';
}
