/** The generated client of the REST API, set up for a browser that is logged in by cookie. Import operations from `@/api`. */
import { client } from './generated/client.gen';
import type { Problem } from './generated/types.gen';

/** What the API says when something cannot be done: `detail` and `hint` are for people, `code` is for programs. */
export class ProblemError extends Error {
  constructor(
    readonly problem: Problem,
    readonly retryAfter: number | null = null,
  ) {
    super(problem.detail || problem.title);
    this.name = 'ProblemError';
  }

  get status() {
    return this.problem.status;
  }
}

function formToken(): string {
  const found = document.cookie.split('; ').find((each) => /^(__Host-)?flow_form_token=/.test(each));
  return found ? decodeURIComponent(found.slice(found.indexOf('=') + 1)) : '';
}

/** What a request failed with, as a problem: also when there was no answer, or one of a proxy in between. */
export function asProblem(error: unknown): ProblemError {
  if (error instanceof ProblemError) return error;
  const away = {
    type: 'about:blank',
    status: 0,
    code: 'away',
    title: 'The server does not answer',
    detail: 'The server does not answer.',
    hint: 'The page goes on by itself as soon as it does.',
  };
  return new ProblemError(away as Problem);
}

client.setConfig({ baseUrl: '', credentials: 'same-origin' });
client.interceptors.request.use((request) => {
  if (request.method !== 'GET') request.headers.set('X-Flow-Form-Token', formToken());
  return request;
});
client.interceptors.error.use((error, response) => {
  if (error && typeof error === 'object' && 'code' in error && 'status' in error) {
    return new ProblemError(error as Problem, Number(response?.headers.get('Retry-After')) || null);
  }
  if (!response?.status) return error instanceof DOMException ? error : asProblem(null);
  const title = `${response.status} ${response.statusText}`;
  const hint = 'This came from something between your browser and the server.';
  return new ProblemError({
    type: 'about:blank',
    status: response.status,
    code: 'foreign',
    title,
    detail: title,
    hint,
  } as Problem);
});

export { client };
