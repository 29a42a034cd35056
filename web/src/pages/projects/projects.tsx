import { Page } from '@/ui/page';

export function Projects() {
  return <Page title="Projects">Not built yet.</Page>;
}
