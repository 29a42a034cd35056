import { Page } from '@/ui/page';

export function Runs() {
  return <Page title="Runs">Not built yet.</Page>;
}
