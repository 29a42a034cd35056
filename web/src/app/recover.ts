/**
 * Load the page again when a part of it did not arrive.
 *
 * Chromium ends all that it loads whenever a network interface of the machine changes, and on a machine with Docker that is
 * whenever a container starts. Also, an upgrade of the server takes away the parts that an open page had yet to load.
 *
 * This stands in the page itself (vite.config.ts): every other file may be the one that is lost. So it imports nothing.
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
  if ((await serverAnswers()) && mayRecover(Date.now())) {
    window.location.reload();
    return;
  }
  recovering = false;
  sayWhy();
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

/** Nobody can do anything with an empty page. */
function sayWhy() {
  const root = document.getElementById('root');
  if (root === null || root.childElementCount > 0) return;
  const link = document.createElement('a');
  link.href = window.location.href;
  link.textContent = 'Load it again';
  const text = document.createElement('p');
  text.setAttribute('role', 'alert');
  text.append('A part of this page did not arrive, or the server is away. ', link);
  Object.assign(text.style, { font: '16px system-ui', margin: '15vh auto', textAlign: 'center' });
  root.append(text);
}

function isPart(target: EventTarget | null): boolean {
  return target instanceof HTMLScriptElement || (target instanceof HTMLLinkElement && target.rel === 'stylesheet');
}

document.currentScript?.remove(); // from now on whatever script stands in the page is not ours
window.addEventListener('vite:preloadError', () => void recover());
window.addEventListener('error', (event) => isPart(event.target) && void recover(), true); // such events do not bubble
