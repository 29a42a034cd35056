import { Button, Modal } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconPlus } from '@tabler/icons-react';
import { useMutation, useQuery } from '@tanstack/react-query';
import { aboutOptions, api, asProblem, type Invitation } from '@/api';
import { FormProblem } from '@/ui/form';
import { Command } from '@/ui/small';
import { duration, useNow } from '@/ui/time';
import { useFreshRunners } from './runners';
import classes from './runners.module.css';

/** Let one machine in: a code that works once, in the command that has to be typed there. */
export function AddRunner() {
  const [opened, modal] = useDisclosure();
  const freshen = useFreshRunners();
  const invite = useMutation({ mutationFn: () => api.inviteRunner(), onError: () => {} });
  const open = () => {
    modal.open();
    invite.mutate();
  };
  const close = () => {
    modal.close();
    invite.reset();
    void freshen();
  };
  return (
    <>
      <Button leftSection={<IconPlus size={15} />} onClick={open}>
        Add a runner
      </Button>
      <Modal opened={opened} onClose={close} title="Add a runner" size="lg">
        <FormProblem problem={invite.isError ? asProblem(invite.error).problem : undefined} />
        {invite.data && <Code invitation={invite.data.data} again={() => invite.mutate()} />}
      </Modal>
    </>
  );
}

function Code({ invitation, again }: { invitation: Invitation; again: () => void }) {
  const server = useQuery(aboutOptions()).data?.public_url ?? window.location.origin;
  const left = invitation.expires_at - useNow();
  if (left <= 0) {
    return (
      <>
        <p>The code is over.</p>
        <Button variant="default" onClick={again}>
          Make another one
        </Button>
      </>
    );
  }
  return (
    <>
      <p>On any Linux machine with Docker, git and git-lfs, which can reach this server:</p>
      <div className={classes.command}>
        <Command>{`flow runner --server ${server} --code ${invitation.code}`}</Command>
      </div>
      <p className="faint">
        The code works once, for another <span className="numbers">{duration(left)}</span>. The machine gets a key of
        its own; from then on <code>flow runner</code> is enough. It listens on nothing: it only calls the server.
      </p>
    </>
  );
}
