/** What to enter at each kind of forge so that it tells the server what happens. */
export type HookKind = 'github' | 'gitlab' | 'gitea' | 'bitbucket' | 'generic';

interface ForgeGuide {
  label: string;
  /** Where webhooks are at the forge, and what to choose there beside address and secret. */
  steps: string[];
  /** What the token has to be allowed at the forge, to tell statuses of commits; none: it tells none. */
  token: string;
  /** Where its API is when nothing is said; empty: it has to be said. */
  apiUrl: string;
}

export const FORGES: Record<HookKind, ForgeGuide> = {
  github: {
    label: 'GitHub',
    steps: [
      'In the repository: Settings, Webhooks, Add webhook.',
      'Payload URL: the address. Content type: application/json. Secret: the secret.',
      'Let me select individual events: Pushes and Pull requests.',
      'Add webhook. The ping that GitHub sends shows up under deliveries.',
    ],
    token: 'A fine-grained token with Commit statuses: read and write, Pull requests: read.',
    apiUrl: 'https://api.github.com',
  },
  gitlab: {
    label: 'GitLab',
    steps: [
      'In the project: Settings, Webhooks, Add new webhook.',
      'URL: the address. Secret token: the secret.',
      'Trigger: Push events, Tag push events and Merge request events.',
      'Add webhook, then Test, Push events.',
    ],
    token: 'A project access token with the role Developer and the scope api.',
    apiUrl: 'https://gitlab.com/api/v4',
  },
  gitea: {
    label: 'Gitea or Forgejo',
    steps: [
      'In the repository: Settings, Webhooks, Add webhook, Gitea or Forgejo.',
      'Target URL: the address. POST, application/json. Secret: the secret.',
      'Trigger on: custom events: Push and the Pull request events.',
      'Add webhook, open it again and use Test delivery.',
    ],
    token: 'An access token with read and write of the repository.',
    apiUrl: '',
  },
  bitbucket: {
    label: 'Bitbucket Cloud',
    steps: [
      'In the repository: Repository settings, Webhooks, Add webhook.',
      'URL: the address. Secret: the secret.',
      'Triggers: Repository push, and of pull requests Created, Updated, Merged and Declined.',
      'Save.',
    ],
    token: 'A repository access token that may write repositories and read pull requests.',
    apiUrl: 'https://api.bitbucket.org/2.0',
  },
  generic: {
    label: 'Anything else',
    steps: [
      'A pipeline names this webhook: on: {webhook: NAME}.',
      'Send JSON by POST to the address. Its fields are the inputs of the pipeline.',
      'Authorization: Bearer and the secret, or X-Flow-Signature-256 with sha256= and the HMAC-SHA256 of the body.',
    ],
    token: '',
    apiUrl: '',
  },
};

export const KINDS = Object.keys(FORGES) as HookKind[];

export const forgeOf = (kind: string): ForgeGuide => FORGES[kind as HookKind] ?? FORGES.generic;

/** The kind that the address of a repository suggests. */
export function kindOf(url: string): HookKind {
  const host = /^[a-z+]+:\/\/(?:[^/@]*@)?([^/:]+)/i.exec(url)?.[1] ?? /^(?:[^@/]*@)?([^:/]+):/.exec(url)?.[1] ?? '';
  if (/(^|\.)github\./i.test(host)) return 'github';
  if (/(^|\.)gitlab\./i.test(host)) return 'gitlab';
  if (/(^|\.)bitbucket\./i.test(host)) return 'bitbucket';
  return /gitea|forgejo|codeberg/i.test(host) ? 'gitea' : 'github';
}
