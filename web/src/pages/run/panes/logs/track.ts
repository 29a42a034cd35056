/**
 * A scroll bar for more than browsers can be given: they refuse elements of more than about 17 million pixels, which is
 * less than a million lines. Up to `LONGEST` the bar is as it is. Beyond, it is shorter than what it stands for: a pull at the bar
 * goes to that part of the whole; a wheel, a finger or a key, which move it a little, move the lines by just as much.
 */
export const LONGEST = 8_000_000; // pixels

export class Track {
  /** Where the bar is. */
  at = 0;

  /** `whole`: the height of all rows; `view`: of what can be seen. */
  constructor(
    private whole = 0,
    private view = 0,
  ) {}

  resize(whole: number, view: number) {
    this.whole = whole;
    this.view = view;
  }

  /** The height that the browser is given. */
  get height(): number {
    return Math.min(this.whole, LONGEST);
  }

  /** Whether the bar is shorter than what it stands for; then it has to be put where it belongs after small moves. */
  get short(): boolean {
    return this.whole > LONGEST;
  }

  get end(): number {
    return Math.max(0, this.whole - this.view);
  }

  /** Return the offset into the whole after the bar has moved to `place`, from an offset before. */
  moved(place: number, before: number): number {
    const step = place - this.at;
    this.at = place;
    if (!this.short) return Math.min(place, this.end);
    const far = Math.max(1, this.height - this.view);
    if (place <= 0) return 0;
    if (place >= far - 1) return this.end;
    const offset = Math.abs(step) <= 2 * this.view ? before + step : (place / far) * this.end;
    return Math.min(Math.max(0, offset), this.end);
  }

  /** Return where the bar belongs for an offset; it is there from now on. */
  place(offset: number): number {
    const to = Math.min(Math.max(0, offset), this.end);
    this.at = this.short ? Math.round((to / this.end) * Math.max(1, this.height - this.view)) : to;
    return this.at;
  }
}
