/** Server-sent events that are asked for again for as long as somebody listens. */

export type StreamState = 'connecting' | 'open' | 'away';

export interface StreamHandlers {
  /** By the type of the message; `data` is parsed JSON, `id` says where to go on. */
  on: Record<string, (data: unknown, id: string) => void>;
  onState?: (state: StreamState) => void;
}

const FIRST_PAUSE = 500; // milliseconds
const LONGEST_PAUSE = 15_000;

/**
 * Follow a stream until the function returned is called, or the server says `end`.
 *
 * The browser itself connects again after an interruption, with the id of the last message. It gives up when the answer is an
 * error; then we ask again, with pauses that grow: `address` is called each time, so that it can say where to go on.
 */
export function follow(address: () => string, { on, onState }: StreamHandlers): () => void {
  let source: EventSource | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let pause = FIRST_PAUSE;
  let stopped = false;

  const stop = () => {
    stopped = true;
    clearTimeout(timer);
    source?.close();
  };
  const connect = () => {
    source = new EventSource(address());
    source.onopen = () => {
      pause = FIRST_PAUSE;
      onState?.('open');
    };
    source.onerror = () => {
      if (stopped) return;
      onState?.('away');
      if (source?.readyState !== EventSource.CLOSED) return;
      timer = setTimeout(connect, pause * (0.75 + Math.random() / 2));
      pause = Math.min(pause * 2, LONGEST_PAUSE);
    };
    for (const [type, handle] of Object.entries(on)) {
      source.addEventListener(type, (event) => handle(JSON.parse(event.data || 'null'), event.lastEventId));
    }
    source.addEventListener('end', (event) => {
      stop();
      if (on.end === undefined) return;
      on.end(JSON.parse(event.data || 'null'), event.lastEventId);
    });
  };
  onState?.('connecting');
  connect();
  return stop;
}

/** As `follow`, but only while the page can be seen: browsers allow six connections to a server, for all tabs together. */
export function followWhileSeen(address: () => string, handlers: StreamHandlers): () => void {
  let stop: (() => void) | undefined;
  const look = () => {
    if (document.hidden) {
      stop?.();
      stop = undefined;
    } else {
      stop ??= follow(address, handlers);
    }
  };
  document.addEventListener('visibilitychange', look);
  look();
  return () => {
    document.removeEventListener('visibilitychange', look);
    stop?.();
  };
}
