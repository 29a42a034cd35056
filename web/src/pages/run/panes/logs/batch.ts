/** What a stream brings between two looks at it. Of very many lines only the latest are kept: the page reads the others when they are looked at. */
import type { LogText } from '@/api';
import { endsGroup, groupName, textOf } from './text';

export interface Arrivals {
  /** The latest pieces, in order. */
  chunks: LogText[];
  /** Lines before these that open or close groups, and services that wrote some. */
  opening: number[];
  closing: number[];
  services: string[];
}

export const KEPT = 400; // pieces

export class Batch {
  private chunks: LogText[] = [];
  private opening: number[] = [];
  private closing: number[] = [];
  private services = new Set<string>();

  get empty(): boolean {
    return this.chunks.length === 0;
  }

  add(chunk: LogText) {
    this.chunks.push(chunk);
  }

  /** Return what came, and begin anew; `whole`: all of it. */
  take(whole: boolean): Arrivals {
    const left = whole ? 0 : Math.max(0, this.chunks.length - KEPT);
    for (const chunk of this.chunks.slice(0, left)) this.passBy(chunk);
    const { opening, closing } = this;
    const taken = { chunks: this.chunks.slice(left), opening, closing, services: [...this.services] };
    this.chunks = [];
    this.opening = [];
    this.closing = [];
    this.services.clear();
    return taken;
  }

  private passBy(chunk: LogText) {
    if (chunk.service !== '') this.services.add(chunk.service);
    const text = textOf(chunk);
    if (groupName(text) !== undefined) this.opening.push(chunk.line);
    else if (endsGroup(text)) this.closing.push(chunk.line);
  }
}
