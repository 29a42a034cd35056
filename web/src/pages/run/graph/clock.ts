import { duration } from '@/ui/time';

/** A duration as short as there is room in a step: 0.4 s, 12 s, 3:05, 2:07:09, 3 d 04 h */
export function clock(seconds: number): string {
  if (seconds < 60 || seconds >= 86_400) return duration(seconds);
  const two = (value: number) => String(Math.floor(value)).padStart(2, '0');
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}
