import { Page } from '@/ui/page';

export function Project() {
  return <Page title="Project">Not built yet.</Page>;
}
