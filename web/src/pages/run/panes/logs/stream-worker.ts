/**
 * Reads the stream of a log beside the page. Programs can print faster than a page can take each line: here they become a
 * few messages per second, so that the page goes on to answer whoever reads it.
 */
import type { LogText } from '@/api';
import { follow, type StreamState } from '@/api/stream';
import { type Arrivals, Batch } from './batch';

/** To the worker: begin, with the address up to the offset; or whether all lines are wanted. */
export type Order = { type: 'begin'; address: string; offset: number } | { type: 'whole'; whole: boolean };
export type News = { type: 'lines'; arrivals: Arrivals } | { type: 'end' } | { type: 'state'; state: StreamState };

const PAUSE = 30; // milliseconds between messages: two frames
const batch = new Batch();
let whole = false;
let timer: ReturnType<typeof setTimeout> | undefined;

const post = (news: News) => self.postMessage(news);

function flush() {
  timer = undefined;
  if (batch.empty) return;
  post({ type: 'lines', arrivals: batch.take(whole) });
}

function begin(address: string, first: number) {
  let offset = first;
  follow(() => `${address}&offset=${offset}`, {
    on: {
      log: (data, id) => {
        offset = Number(id.split(':')[1] ?? offset); // ATTEMPT:OFFSET
        batch.add(data as LogText);
        if (timer === undefined) timer = setTimeout(flush, PAUSE);
      },
      end: () => {
        flush();
        post({ type: 'end' });
      },
    },
    onState: (state) => post({ type: 'state', state }),
  });
}

self.onmessage = ({ data }: MessageEvent<Order>) => {
  if (data.type === 'whole') whole = data.whole;
  else begin(data.address, data.offset);
};
