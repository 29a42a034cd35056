import { Page } from '@/ui/page';

export function Audit() {
  return <Page title="Audit">Not built yet.</Page>;
}
