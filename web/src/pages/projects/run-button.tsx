import { Button, type ButtonProps } from '@mantine/core';
import { IconPlayerPlay } from '@tabler/icons-react';
import { useMutation } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { api, type HoldView, type PipelineView } from '@/api';
import { heldTitle } from '@/ui/held';

interface RunButtonProps extends Pick<ButtonProps, 'variant' | 'size'> {
  project: string;
  pipeline: Pick<PipelineView, 'name' | 'inputs'> & { hold?: HoldView | null };
}

/** Start a pipeline: at once when there is nothing to ask, else by the form of its inputs. */
export function RunButton({ project, pipeline, variant = 'default', size = 'xs' }: RunButtonProps) {
  const navigate = useNavigate();
  const start = useMutation({
    mutationFn: () => api.startRun({ path: { project, pipeline: pipeline.name }, body: {} }),
    onSuccess: ({ data }) =>
      navigate({ to: '/projects/$project/runs/$number', params: { project, number: String(data.number) } }),
  });
  const look = { variant, size, leftSection: <IconPlayerPlay size={14} />, 'aria-label': `Run ${pipeline.name}` };
  if (pipeline.hold) {
    return (
      <Button {...look} disabled title={heldTitle(pipeline.hold)}>
        Run
      </Button>
    );
  }
  if (pipeline.inputs.length > 0) {
    return (
      <Button
        {...look}
        renderRoot={(props) => (
          <Link
            to="/projects/$project/pipelines/$pipeline/start"
            params={{ project, pipeline: pipeline.name }}
            {...props}
          />
        )}
      >
        Run …
      </Button>
    );
  }
  return (
    <Button {...look} loading={start.isPending} onClick={() => start.mutate()}>
      Run
    </Button>
  );
}
