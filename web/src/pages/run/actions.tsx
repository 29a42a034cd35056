/** What can be done with a run, as far as the one who looks at it may. */
import { ActionIcon, Button, Menu, Modal, Stack, Text } from '@mantine/core';
import {
  IconDots,
  IconGitCompare,
  IconKeyboard,
  IconPlayerStop,
  IconRepeat,
  IconTerminal2,
  IconTrash,
} from '@tabler/icons-react';
import { useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { api, getRunQueryKey, type RunView } from '@/api';
import { useMay } from '@/app/session';
import { Picker } from '@/pages/compare/picker';
import { Question } from '@/ui/confirm';
import { Command } from '@/ui/small';

interface ActionsProps {
  run: RunView;
  onRerun: () => void;
  onKeys: () => void;
}

type Dialog = 'cancel' | 'compare' | 'clone' | 'delete';

export function Actions({ run, onRerun, onKeys }: ActionsProps) {
  const may = useMay();
  const [dialog, setDialog] = useState<Dialog>();
  const going = run.finished_at === null;
  const close = () => setDialog(undefined);
  return (
    <>
      {going && may('run.cancel', run.project) && (
        <Button
          variant="default"
          color="red"
          leftSection={<IconPlayerStop size={14} />}
          onClick={() => setDialog('cancel')}
        >
          {run.state === 'cancelling' ? 'End at once' : 'Cancel'}
        </Button>
      )}
      {may('run.rerun', run.project) && (
        <Button variant={going ? 'default' : 'filled'} leftSection={<IconRepeat size={14} />} onClick={onRerun}>
          Run again
        </Button>
      )}
      <Menu position="bottom-end" width={210}>
        <Menu.Target>
          <ActionIcon variant="default" size={30} aria-label="More">
            <IconDots size={16} />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item leftSection={<IconGitCompare size={15} />} onClick={() => setDialog('compare')}>
            Compare with another run
          </Menu.Item>
          <Menu.Item leftSection={<IconTerminal2 size={15} />} onClick={() => setDialog('clone')}>
            Clone its repository
          </Menu.Item>
          <Menu.Item leftSection={<IconKeyboard size={15} />} onClick={onKeys}>
            Keys
          </Menu.Item>
          {!going && may('run.delete', run.project) && (
            <Menu.Item color="red" leftSection={<IconTrash size={15} />} onClick={() => setDialog('delete')}>
              Delete this run
            </Menu.Item>
          )}
        </Menu.Dropdown>
      </Menu>
      {dialog === 'cancel' && <Cancel run={run} onClose={close} />}
      {dialog === 'delete' && <Delete run={run} onClose={close} />}
      {dialog === 'compare' && <Picker run={run} onClose={close} />}
      {dialog === 'clone' && <Clone run={run} onClose={close} />}
    </>
  );
}

interface DialogProps {
  run: RunView;
  onClose: () => void;
}

/** The first time steps get time to end by themselves; whoever asks again ends them at once. */
function Cancel({ run, onClose }: DialogProps) {
  const queries = useQueryClient();
  const path = { run: run.id };
  const force = run.state === 'cancelling';
  return (
    <Modal opened onClose={onClose} title={force ? 'End this run at once?' : 'Cancel this run?'} size="sm">
      <Question
        label={force ? 'End at once' : 'Cancel the run'}
        stay="Let it run"
        act={() => api.cancelRun({ path, body: { force } })}
        onDone={() => queries.invalidateQueries({ queryKey: getRunQueryKey({ path }) })}
        close={onClose}
      >
        {force
          ? 'Containers are killed. What steps have in their workspace now may be lost.'
          : 'Running steps are stopped; what has not begun does not begin. What they did so far is kept.'}
      </Question>
    </Modal>
  );
}

function Delete({ run, onClose }: DialogProps) {
  const navigate = useNavigate();
  return (
    <Modal opened onClose={onClose} title={`Delete ${run.pipeline} #${run.number}?`} size="sm">
      <Question
        label="Delete"
        stay="Keep it"
        act={() => api.deleteRun({ path: { run: run.id } })}
        onDone={() => navigate({ to: '/runs', search: { project: run.project, pipeline: run.pipeline } })}
        close={onClose}
      >
        Its repository and logs go with it. Runs that were started again from it stay whole.
      </Question>
    </Modal>
  );
}

function Clone({ run, onClose }: DialogProps) {
  return (
    <Modal opened onClose={onClose} title="Clone the repository of this run" size="lg">
      <Stack gap="sm">
        <Text size="sm">
          Each attempt of a step is a commit, each result a branch <code>step/NAME</code>, and <code>main</code> is all
          of them merged. Files of 1 MiB and more come by git-lfs. The password is a token of yours.
        </Text>
        <Command>{`git clone ${run.repository}`}</Command>
      </Stack>
    </Modal>
  );
}
