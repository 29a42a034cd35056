/** One stream of all runs for all tabs of a browser: it hands on what comes, and tells newcomers whether it is connected. */
import { followAll, type LiveMessage } from './live-stream';
import type { StreamState } from './stream';

const scope = self as unknown as { onconnect: (event: MessageEvent) => void };
const ports = new Set<MessagePort>();
let state: StreamState = 'connecting';
let stop: (() => void) | undefined;

function tell(message: LiveMessage) {
  for (const port of ports) port.postMessage(message);
}

function begin() {
  return followAll((message) => {
    if (message.type === 'state') state = message.state;
    tell(message);
  });
}

scope.onconnect = (event) => {
  const port = event.ports[0] as MessagePort;
  ports.add(port);
  port.onmessage = ({ data }) => {
    if (data === 'bye') ports.delete(port);
    if (data === 'again' || ports.size === 0) {
      stop?.(); // again: somebody else has logged in, who may look at other runs
      stop = ports.size > 0 ? begin() : undefined;
    }
  };
  port.postMessage({ type: 'state', state } satisfies LiveMessage);
  stop ??= begin();
};
