/**
 * The lines of one log that a page holds: those in view, some around them, and what arrives. A log can be a gigabyte, so
 * it is kept in pages of lines of which the ones not looked at for the longest time are given up.
 */
import type { LogPage, LogText } from '@/api';
import type { StreamState } from '@/api/stream';
import type { Arrivals } from './batch';
import { endsGroup, groupName, lastState, textOf } from './text';

const PAGE = 500; // lines
const PAGES = 80;
const BEYOND = 2 ** 53 - 1; // a line that no log has: asking for it tells how many there are, and where the log ends
const SETTLING = 40; // milliseconds: what is only passed by is not asked for
const AROUND = 300; // lines that are fetched before and after what is in view: who reads goes on reading

export interface LogLine {
  number: number;
  service: string;
  stderr: boolean;
  /** Seconds since 1970. */
  time: number;
  text: string;
  /** What was written, as it is: an end of line may be missing. */
  raw: string;
  /** The bytes of the log that it is. */
  from: number;
  to: number;
}

export interface LogSource {
  read(
    query: { line?: number; offset?: number; limit?: number; service?: string },
    signal?: AbortSignal,
  ): Promise<LogPage>;
  follow(handlers: StreamHandlers): Following;
}

export interface StreamHandlers {
  /** The offset to go on from. */
  from: () => number;
  take: (arrivals: Arrivals) => void;
  end: () => void;
  state: (now: StreamState) => void;
  /** Whether each line is looked at when it arrives; if not, the latest do. */
  whole: () => boolean;
}

export interface Following {
  stop: () => void;
  /** `whole` may be another one now. */
  wholeChanged: () => void;
}

interface PageOfLines {
  lines: (LogLine | undefined)[];
  used: number;
}

interface Load {
  first: number;
  last: number;
  service: string;
  abort: AbortController;
}

export class LogStore {
  /** Lines in the log by now. */
  total = 0;
  /** Whether nothing comes after these. */
  ended = false;
  ready = false;
  error: unknown;
  stream: StreamState | undefined;
  /** In the order in which they were seen. */
  readonly services: string[] = [];
  readonly opening: number[] = []; // lines that arrived and open a group
  readonly closing: number[] = [];
  private pages = new Map<number, PageOfLines>();
  private watchers = new Set<() => void>();
  private listeners = new Set<(line: LogLine) => void>();
  private next = 0; // the offset where the stream goes on
  private clock = 0;
  private version = 0;
  private frame = 0;
  private wanted: readonly number[] = [];
  private service = ''; // whose lines are wanted
  private gone = new Set<number>(); // lines that were asked for and did not come
  private cut = false; // whether the latest answer ended before what was asked for did
  private loading: Load | undefined;
  private settling: ReturnType<typeof setTimeout> | undefined;
  private following: Following | undefined;
  private closed = false;

  constructor(
    private readonly source: LogSource,
    private readonly soon: (tell: () => void) => number = (tell) => requestAnimationFrame(tell),
  ) {}

  /** Find out how much there is, and follow what comes. */
  async open() {
    this.closed = false;
    this.error = undefined;
    try {
      const { lines, next, ended } = await this.source.read({ line: BEYOND, limit: 1 });
      if (this.closed) return;
      this.total = lines;
      this.next = next;
      this.ended = ended;
      this.ready = true;
      if (!ended) this.follow();
    } catch (error) {
      this.error = error;
    }
    this.tell();
  }

  /** Go on after an error. */
  async retry() {
    if (!this.ready) return this.open();
    this.error = undefined;
    this.tell();
    await this.load();
  }

  close() {
    this.closed = true;
    this.following?.stop();
    this.loading?.abort.abort();
    this.loading = undefined;
    clearTimeout(this.settling);
  }

  subscribe = (watch: () => void) => {
    this.watchers.add(watch);
    return () => {
      this.watchers.delete(watch);
    };
  };

  getVersion = () => this.version;

  /** Call `listen` with each line that arrives, until the function returned is called. */
  onArrival(listen: (line: LogLine) => void) {
    this.listeners.add(listen);
    this.following?.wholeChanged();
    return () => {
      this.listeners.delete(listen);
      this.following?.wholeChanged();
    };
  }

  /** A line; null: the log does not have it though it should; undefined: not here yet. */
  line(number: number): LogLine | null | undefined {
    return this.pages.get(pageOf(number))?.lines[(number - 1) % PAGE] ?? (this.gone.has(number) ? null : undefined);
  }

  /** Say which lines are in view, in order: those that are not here are fetched. With a service all of them are of it. */
  want(lines: readonly number[], service = '') {
    this.wanted = lines;
    this.service = service;
    this.clock++;
    for (const line of lines) {
      const held = this.pages.get(pageOf(line));
      if (held) held.used = this.clock;
    }
    const load = this.loading;
    const first = lines[0] ?? 0;
    if (load && load.first <= (lines.at(-1) ?? 0) && load.last >= first && load.service === service) return;
    clearTimeout(this.settling);
    this.settling = setTimeout(() => void this.load(), load ? SETTLING : 0);
  }

  /** Take lines that were read elsewhere. */
  put(chunks: readonly LogText[]) {
    for (const chunk of chunks) this.take(chunk);
  }

  private follow() {
    this.following = this.source.follow({
      from: () => this.next,
      take: (arrivals) => this.arrived(arrivals),
      end: () => {
        this.ended = true;
        this.tell();
      },
      state: (state) => {
        this.stream = state;
        this.tell();
      },
      whole: () => this.listeners.size > 0,
    });
  }

  private arrived({ chunks, opening, closing, services }: Arrivals) {
    this.opening.push(...opening);
    this.closing.push(...closing);
    for (const service of services) this.saw(service);
    for (const chunk of chunks) {
      const line = this.take(chunk);
      this.next = Math.max(this.next, line.to);
      if (chunk.line <= this.total) continue;
      this.total = chunk.line;
      for (const listen of this.listeners) listen(line);
      if (groupName(line.text) !== undefined) this.opening.push(line.number);
      else if (endsGroup(line.text)) this.closing.push(line.number);
    }
    this.tellSoon();
  }

  private saw(service: string) {
    if (service !== '' && !this.services.includes(service)) this.services.push(service);
  }

  private take(chunk: LogText): LogLine {
    const page = this.page(pageOf(chunk.line));
    const slot = (chunk.line - 1) % PAGE;
    const held = page.lines[slot];
    if (held && held.to > chunk.offset) return held; // it was here already
    const raw = (held?.raw ?? '') + textOf(chunk);
    const line = {
      number: chunk.line,
      service: chunk.service,
      stderr: chunk.stream === 'stderr',
      time: chunk.time_ns / 1e9,
      text: lastState(raw),
      raw,
      from: held?.from ?? chunk.offset,
      to: chunk.offset + byteLength(chunk),
    };
    page.lines[slot] = line;
    this.saw(chunk.service);
    return line;
  }

  private page(number: number): PageOfLines {
    let page = this.pages.get(number);
    if (!page) {
      page = { lines: new Array(PAGE), used: this.clock };
      this.pages.set(number, page);
      if (this.pages.size > PAGES) this.giveUp();
    }
    return page;
  }

  private giveUp() {
    const inView = new Set(this.wanted.map(pageOf));
    const oldest = [...this.pages].filter(([page]) => !inView.has(page)).sort(([, a], [, b]) => a.used - b.used);
    for (const [page] of oldest.slice(0, PAGES / 4)) this.pages.delete(page);
  }

  private missing(): Omit<Load, 'abort'> | undefined {
    const absent = this.wanted.filter((line) => line <= this.total && this.line(line) === undefined);
    const [first, last] = [absent[0], absent.at(-1)];
    if (first === undefined || last === undefined) return undefined;
    const { service } = this;
    if (service) return { first, last: first + absent.length + AROUND, service };
    // After an answer that was cut exactly what is missing: it might else be cut at the same place again.
    const from = this.cut ? first : Math.max(1, first - AROUND);
    return { first: from, last: Math.min(last + AROUND, this.total), service };
  }

  private async load() {
    const range = this.missing();
    this.loading?.abort.abort();
    this.loading = undefined;
    if (!range || this.closed) return;
    const loading: Load = { ...range, abort: new AbortController() };
    this.loading = loading;
    try {
      const query = { line: range.first, limit: range.last - range.first + 1, service: range.service || undefined };
      const { chunks } = await this.source.read(query, loading.abort.signal);
      if (this.loading !== loading) return;
      this.error = undefined;
      this.put(chunks);
      this.answered(range.first, chunks.at(-1)?.line);
    } catch (error) {
      if (this.loading !== loading) return;
      this.error = error;
    }
    this.loading = undefined;
    this.tell();
    if (!this.error) void this.load();
  }

  /** What was wanted and is not in an answer that goes further is not in the log. */
  private answered(first: number, last: number | undefined) {
    const reached = last ?? Number.POSITIVE_INFINITY;
    for (const line of this.wanted) {
      if (line >= first && line <= Math.min(reached, this.total) && this.line(line) === undefined) this.gone.add(line);
    }
    this.cut = this.wanted.some((line) => line > reached && this.line(line) === undefined);
  }

  private tell() {
    this.version++;
    for (const watch of this.watchers) watch();
  }

  private tellSoon() {
    if (this.frame !== 0) return;
    this.frame = this.soon(() => {
      this.frame = 0;
      this.tell();
    });
  }
}

const pageOf = (line: number) => Math.floor((line - 1) / PAGE);
const encoder = new TextEncoder();
const byteLength = (chunk: LogText) =>
  chunk.text === null ? atob(chunk.base64 ?? '').length : encoder.encode(chunk.text).length;
