import { Page } from '@/ui/page';

export function Runners() {
  return <Page title="Runners">Not built yet.</Page>;
}
