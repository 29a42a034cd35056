/** Where in the whole of the rows one is: by scrolling, by going to a row, and when rows come or turn out to be higher. */
import type { RefObject } from 'react';
import type { Heights } from './heights';
import { Track } from './track';

const BLOCK = 8; // rows are made in blocks, one more above and below the view: a small scroll finds them there

/** What is laid out. */
export interface Extent {
  heights: Heights;
  /** Rows. */
  count: number;
  /** Of what can be seen, in pixels; 0: it is not laid out yet. */
  height: number;
}

type Bar = Pick<HTMLElement, 'scrollTop' | 'clientHeight' | 'firstElementChild'>;

export class Position {
  readonly track = new Track();
  /** The offset of what is rendered. */
  seen = 0;
  /** The first and the last of the rows to be made. */
  range: [first: number, last: number] = [0, -1];
  private offset = 0; // changes more often than rows have to be rendered
  private target: number | undefined; // a row on its way into view
  private extent!: Extent;

  /** `render`: called when other rows have to be made. */
  constructor(
    private readonly bar: RefObject<Bar | null>,
    private readonly render: () => void,
  ) {}

  /** Take note of what is laid out, at each rendering. */
  update(extent: Extent) {
    this.extent = extent;
    this.track.resize(this.whole, extent.height);
    this.seen = Math.min(this.offset, this.track.end);
    this.range = rangeAt(this.seen, extent);
  }

  /** Bring a row into view. */
  show(row: number) {
    const { heights, height } = this.extent;
    const at = heights.offset(row);
    const margin = heights.usual;
    this.target = row;
    if (height === 0) this.offset = at;
    else if (at < this.offset + margin || at + heights.height(row) > this.offset + height - margin) {
      this.go(at - height / 2);
    } else this.target = undefined;
  }

  /** The first row that can be seen. */
  top(): number {
    const { heights, count } = this.extent;
    return heights.rowAt(this.offset + heights.usual / 2, count);
  }

  /**
   * After a rendering, stay where the reader wants to be: at the row that was gone to, at the end, or with the same lines in view.
   * `measure` looks how high the rows are, and says whether that is news.
   */
  settle(measure: () => boolean, follow: boolean) {
    const { heights, count, height } = this.extent;
    const anchor = heights.rowAt(this.seen, count);
    const within = this.seen - heights.offset(anchor);
    const news = measure();
    this.track.resize(this.whole, height);
    if (height === 0) return;
    if (this.target !== undefined) this.approach(this.target, news);
    else if (follow) {
      if (news || this.seen !== this.track.end || this.offset !== this.seen) this.go(this.track.end);
    } else if (news) this.go(heights.offset(anchor) + within);
  }

  /** The bar was moved. Return whether that was to the end, or away from it; undefined: it was moved by us. */
  scrolled(): boolean | undefined {
    const bar = this.bar.current;
    if (!bar || Math.abs(bar.scrollTop - this.track.at) < 1) return undefined;
    const { heights } = this.extent;
    this.track.resize(this.whole, bar.clientHeight);
    this.offset = this.track.moved(bar.scrollTop, this.offset);
    this.target = undefined;
    if (String(rangeAt(this.offset, { ...this.extent, height: bar.clientHeight })) !== String(this.range))
      this.render();
    return this.offset >= this.track.end - heights.usual;
  }

  /** The bar is moved no more: one that is shorter than what it stands for is put where it belongs. */
  rested() {
    if (this.track.short) this.go(this.offset);
  }

  private get whole(): number {
    return this.extent.heights.offset(this.extent.count);
  }

  /** Have a row in the middle. Its place is known for certain when the rows around it have been measured. */
  private approach(row: number, news: boolean) {
    const { heights, height } = this.extent;
    const at = heights.offset(row) - (height - heights.height(row)) / 2;
    const there = Math.abs(Math.min(Math.max(0, at), this.track.end) - this.seen) < 1;
    if (there && !news) this.target = undefined;
    else this.go(at);
  }

  private go(to: number) {
    const place = this.track.place(to);
    const track = this.bar.current?.firstElementChild as HTMLElement | null | undefined;
    if (this.bar.current && track) {
      track.style.height = `${this.track.height}px`; // now, not at the next rendering: the place may be behind the end of before
      this.bar.current.scrollTop = place;
    }
    this.offset = Math.min(Math.max(0, to), this.track.end);
    this.render();
  }
}

function rangeAt(offset: number, { heights, height, count }: Extent): [first: number, last: number] {
  const first = Math.floor(heights.rowAt(offset, count) / BLOCK) - 1;
  const last = Math.floor(heights.rowAt(offset + height, count) / BLOCK) + 2;
  return [Math.max(0, first * BLOCK), Math.min(count, last * BLOCK) - 1];
}
