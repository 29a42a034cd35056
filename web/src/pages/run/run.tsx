import { Page } from '@/ui/page';

export function Run() {
  return <Page title="Run">Not built yet.</Page>;
}
