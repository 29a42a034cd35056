/** Hold a pipeline, with a reason, or let it go. For who may; another one sees only that it is held. */
import { Button, Modal, TextInput } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconPlayerPause } from '@tabler/icons-react';
import { useQueryClient } from '@tanstack/react-query';
import { api, type HoldView } from '@/api';
import { concerns } from '@/api/notices';
import { useMay } from '@/app/session';
import { Confirm } from '@/ui/confirm';
import { Fields, FormButtons, FormProblem } from '@/ui/form';
import { useApiForm } from '@/ui/forms';
import { told } from '@/ui/told';

interface HoldButtonProps {
  project: string;
  pipeline: string;
  hold: HoldView | null;
}

export function HoldButton({ project, pipeline, hold }: HoldButtonProps) {
  const may = useMay();
  const [opened, modal] = useDisclosure();
  const freshen = useFreshHolds(project);
  if (!may('pipeline.hold', project)) return null;
  if (hold) {
    return (
      <Confirm
        label="Unhold"
        title={`Unhold ${pipeline}`}
        harmless
        aria-label={`Unhold ${pipeline}`}
        act={() => api.letPipelineGo({ path: { project, pipeline } })}
        onDone={freshen}
      >
        It can begin again, by hand and by itself. What did not begin while it was held is not made up for.
      </Confirm>
    );
  }
  return (
    <>
      <Button
        variant="default"
        leftSection={<IconPlayerPause size={14} aria-hidden />}
        aria-label={`Hold ${pipeline}`}
        onClick={modal.open}
      >
        Hold
      </Button>
      <Modal opened={opened} onClose={modal.close} title={`Hold ${pipeline}`}>
        <HoldForm project={project} pipeline={pipeline} close={modal.close} onDone={freshen} />
      </Modal>
    </>
  );
}

interface HoldFormProps {
  project: string;
  pipeline: string;
  close: () => void;
  onDone: () => unknown;
}

function HoldForm({ project, pipeline, close, onDone }: HoldFormProps) {
  const form = useApiForm({
    initialValues: { reason: '' },
    send: (body) => api.holdPipeline({ path: { project, pipeline }, body }),
    onDone: () => {
      close();
      told(`${pipeline} is held`);
      return onDone();
    },
  });
  return (
    <form onSubmit={form.submit}>
      <Fields>
        <p className="faint">
          Nothing of it begins then: not by hand, by webhook, by schedule or again. Runs that are there go on.
        </p>
        <TextInput
          label="Why"
          description="Everybody who looks at the pipeline reads it."
          placeholder="The database moves until noon"
          maxLength={1000}
          autoComplete="off"
          data-autofocus
          {...form.field('reason')}
        />
        <FormProblem problem={form.problem} />
        <FormButtons label="Hold" sending={form.sending} onCancel={close} />
      </Fields>
    </form>
  );
}

/** The server tells of it as well; who did it is not to wait for that. */
function useFreshHolds(project: string) {
  const queries = useQueryClient();
  return () =>
    queries.invalidateQueries({ predicate: ({ queryKey }) => concerns({ kind: 'pipelines', project }, queryKey) });
}
