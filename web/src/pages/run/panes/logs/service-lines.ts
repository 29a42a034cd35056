/** The numbers of the lines of one service, in order. They are found piece by piece, by reading what it wrote. */
import type { LogSource, LogStore } from './store';

const AT_ONCE = 5000; // lines; an answer has at most a mebibyte anyway

export class ServiceLines {
  readonly numbers: number[] = [];
  /** Whether these are all there are by now. */
  whole = false;
  error: unknown;

  private next = 0;
  private loading = false;
  private stopListening: () => void;

  constructor(
    private readonly source: LogSource,
    private readonly store: LogStore,
    readonly service: string,
    private readonly tell: () => void,
  ) {
    this.stopListening = store.onArrival((line) => {
      if (this.whole && line.service === service) this.push(line.number);
    });
  }

  close() {
    this.stopListening();
    this.loading = true; // no more
  }

  /** Find more of them; `all`: up to the end. */
  async load(all = false) {
    if (this.loading || this.whole) return;
    this.loading = true;
    this.error = undefined;
    try {
      do {
        const known = this.store.total;
        const page = await this.source.read({ offset: this.next, limit: AT_ONCE, service: this.service });
        for (const chunk of page.chunks) this.push(chunk.line);
        this.store.put(page.chunks.slice(0, AT_ONCE / 10));
        this.whole = page.chunks.length === 0 || (page.next === this.next && page.lines <= known);
        this.next = page.next;
        this.tell();
      } while (all && !this.whole);
    } catch (error) {
      this.error = error;
      this.tell();
    }
    this.loading = false;
  }

  private push(line: number) {
    if (line > (this.numbers.at(-1) ?? 0)) this.numbers.push(line);
  }
}
