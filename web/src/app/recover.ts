/**
 * Load the page again when a part of it did not arrive.
 *
 * Chromium ends all that it loads whenever a network interface of the machine changes, and on a machine with Docker that is
 * whenever a container starts. Also, an upgrade of the server takes away the parts that an open page had yet to load.
 */
const KEY = 'flow-recovering';
const MOST = 3; // times
const WITHIN = 30_000; // milliseconds
const PAUSES = [0, 500, 2000]; // milliseconds before each question to the server: what ended a part may end that, too

let recovering = false; // parts are often lost together

async function recover() {
  if (recovering) return;
  recovering = true;
  // While the server is away, a page that lacks a part is better than none.
  if ((await serverAnswers()) && mayRecover(Date.now())) window.location.reload();
  else recovering = false;
}

async function serverAnswers(): Promise<boolean> {
  for (const pause of PAUSES) {
    await new Promise((over) => setTimeout(over, pause));
    const answer = await fetch('/health', { cache: 'no-store' }).catch(() => null);
    if (answer?.ok) return true;
  }
  return false;
}

/** After too many times it is something else, and what there is of the page may be of use. */
function mayRecover(now: number): boolean {
  const times = (JSON.parse(sessionStorage.getItem(KEY) ?? '[]') as number[]).filter((time) => now - time < WITHIN);
  if (times.length >= MOST) return false;
  sessionStorage.setItem(KEY, JSON.stringify([...times, now]));
  return true;
}

export function recoverFromMissingParts() {
  window.addEventListener('vite:preloadError', () => void recover());
  const styles = document.querySelectorAll<HTMLLinkElement>('link[rel="stylesheet"]');
  if ([...styles].some((link) => link.sheet === null)) void recover();
}
