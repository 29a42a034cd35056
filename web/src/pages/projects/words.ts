/** What starts a pipeline, in words: each kind as its own short text. As the API gives it: complete with defaults. */

interface Triggers {
  push?: { branches: string[]; tags: string[] };
  tag?: { tags: string[] };
  pull_request?: { branches: string[] };
  schedule?: { cron: string }[];
  webhook?: { name: string };
  after?: { pipeline: string }[];
}

const some = (names: string[], all: string) => names.join(', ') || all;

export function triggerWords(written: Record<string, unknown>): string[] {
  const { push, tag, pull_request, schedule, webhook, after } = written as Triggers;
  return [
    ...(push ? [`push to ${some(push.branches, 'any branch')}`] : []),
    ...(push?.tags.length ? [`tag ${push.tags.join(', ')}`] : []),
    ...(tag ? [`tag ${some(tag.tags, 'of any name')}`] : []),
    ...(pull_request ? [`pull request to ${some(pull_request.branches, 'any branch')}`] : []),
    ...(schedule ? [schedule.length > 1 ? `${schedule.length} schedules` : 'schedule'] : []),
    ...(webhook ? [`webhook ${webhook.name}`] : []),
    ...(after ?? []).map((each) => `after ${each.pipeline}`),
  ];
}
