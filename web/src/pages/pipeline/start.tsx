import { Page } from '@/ui/page';

export function Start() {
  return <Page title="Start">Not built yet.</Page>;
}
