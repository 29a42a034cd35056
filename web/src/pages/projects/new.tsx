import { Page } from '@/ui/page';

export function NewProject() {
  return <Page title="NewProject">Not built yet.</Page>;
}
