/** What the server tells of besides runs: that a list is to be asked for again. */
import type { QueryKey } from '@tanstack/react-query';

export type Notice =
  | { kind: 'runner'; name: string }
  | { kind: 'deliveries'; project: string }
  | { kind: 'schedules'; project: string }
  | { kind: 'pipelines'; project: string };

export const NOTICES: Notice['kind'][] = ['runner', 'deliveries', 'schedules', 'pipelines'];

const ASKED: Record<Notice['kind'], string[]> = {
  runner: ['listRunners'],
  deliveries: ['listDeliveries', 'getDelivery'],
  schedules: ['listSchedules'],
  pipelines: ['listPipelines', 'getshownPipeline', 'listAllPipelines'], // which are held
};

interface Question {
  _id?: string;
  path?: { project?: string };
}

/** Whether the answer to a question may be another one after a notice. */
export function concerns(notice: Notice, key: QueryKey): boolean {
  const { _id = '', path } = (key[0] ?? {}) as Question;
  if (!ASKED[notice.kind].includes(_id)) return false;
  return notice.kind === 'runner' || path === undefined || path.project === notice.project;
}

/** Whether any notice may be about the answer to a question. */
export function isNoticed(key: QueryKey): boolean {
  const { _id = '' } = (key[0] ?? {}) as Question;
  return NOTICES.some((kind) => ASKED[kind].includes(_id));
}
