import { Page } from '@/ui/page';

export function History() {
  return <Page title="History">Not built yet.</Page>;
}
