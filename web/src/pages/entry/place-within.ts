/** Only a place within these pages: an address that leads elsewhere would make our login page a help for fraud. */
export function placeWithin(next: string | undefined, origin = window.location.origin): string {
  const url = next?.startsWith('/') && URL.canParse(next, origin) ? new URL(next, origin) : null;
  return url?.origin === origin ? url.pathname + url.search + url.hash : '/';
}
