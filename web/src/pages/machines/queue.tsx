import { Page } from '@/ui/page';

export function Queue() {
  return <Page title="Queue">Not built yet.</Page>;
}
