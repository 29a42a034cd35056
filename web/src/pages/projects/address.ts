/** Addresses of repositories, as far as a form has to understand them; the server judges (core/giturl.py). */

export type Transport = 'https' | 'ssh' | 'path';

/** How git would get there; undefined while that cannot be told. */
export function transportOf(url: string): Transport | undefined {
  const text = url.trim();
  if (/^https?:\/\//i.test(text)) return 'https';
  if (/^ssh:\/\//i.test(text) || /^([^@:/\s]+@)?[^@:/\s]+:[^/].*/.test(text)) return 'ssh';
  return text.startsWith('/') ? 'path' : undefined;
}

/** A name for the project of a repository, such as the server takes: the last part of its address in small letters. */
export function nameOf(url: string): string {
  const last = url
    .trim()
    .replace(/[?#].*$/, '')
    .replace(/\/+$/, '')
    .replace(/\.git$/i, '')
    .split(/[/:]/)
    .pop();
  return (last ?? '')
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/\.{2,}/g, '.')
    .replace(/^[^a-z0-9]+|[^a-z0-9]+$/g, '')
    .slice(0, 64);
}
