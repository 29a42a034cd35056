/** Times of lines: short, and all of the same width. */
export type Times = 'off' | 'since' | 'clock';

const two = (value: number) => String(Math.floor(value)).padStart(2, '0');

/** Since the beginning: 0:07.3, 1:02:07.3 */
export function since(seconds: number): string {
  if (seconds < 0) return `-${since(-seconds)}`;
  const tenths = Math.floor((seconds * 10) % 10);
  const [hours, minutes] = [Math.floor(seconds / 3600), (seconds / 60) % 60];
  const head = hours > 0 ? `${hours}:${two(minutes)}` : String(Math.floor(minutes));
  return `${head}:${two(seconds % 60)}.${tenths}`;
}

/** In the time zone of the browser: 14:03:07.312 */
export function clock(seconds: number): string {
  const at = new Date(seconds * 1000);
  const milliseconds = String(at.getMilliseconds()).padStart(3, '0');
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${milliseconds}`;
}
