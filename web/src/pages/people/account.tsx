import { Page } from '@/ui/page';

export function Account() {
  return <Page title="Account">Not built yet.</Page>;
}
