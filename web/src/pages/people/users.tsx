import { Page } from '@/ui/page';

export function Users() {
  return <Page title="Users">Not built yet.</Page>;
}
