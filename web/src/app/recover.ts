/**
 * Load the page again when a part of it did not arrive.
 *
 * Chromium ends all that it loads whenever a network interface of the machine changes, and on a machine with Docker that is
 * whenever a container starts. Also, an upgrade of the server takes away the parts that an open page had yet to load.
 */
const KEY = 'flow-recovering';
const MOST = 3; // times
const WITHIN = 30_000; // milliseconds

function recover() {
  const now = Date.now();
  const times = (JSON.parse(sessionStorage.getItem(KEY) ?? '[]') as number[]).filter((time) => now - time < WITHIN);
  if (times.length >= MOST) return; // then it is something else, and what there is may be of use
  sessionStorage.setItem(KEY, JSON.stringify([...times, now]));
  window.location.reload();
}

export function recoverFromMissingParts() {
  window.addEventListener('vite:preloadError', recover);
  const styles = document.querySelectorAll<HTMLLinkElement>('link[rel="stylesheet"]');
  if ([...styles].some((link) => link.sheet === null)) recover();
}
