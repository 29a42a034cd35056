import { Page } from '@/ui/page';

export function PipelineFile() {
  return <Page title="PipelineFile">Not built yet.</Page>;
}
