/** The one stream of all that happens on the server, as messages that can be handed from a worker to pages. */
import { NOTICES, type Notice } from './notices';
import { follow, type StreamState } from './stream';

export type LiveMessage =
  | { type: 'state'; state: StreamState }
  | { type: 'run'; run: unknown }
  | { type: 'notice'; notice: Notice }
  | { type: 'reset' };

/** Follow it until the function returned is called. */
export function followAll(tell: (message: LiveMessage) => void): () => void {
  const notices = NOTICES.map((kind) => [
    kind,
    (about: unknown) => tell({ type: 'notice', notice: { ...(about as object), kind } as Notice }),
  ]);
  return follow(() => '/api/v1/events', {
    on: {
      run: (run) => tell({ type: 'run', run }),
      reset: () => tell({ type: 'reset' }),
      ...Object.fromEntries(notices),
    },
    onState: (state) => tell({ type: 'state', state }),
  });
}
