import { ActionIcon, Menu, Modal } from '@mantine/core';
import { IconDots, IconShieldHalf, IconUser } from '@tabler/icons-react';
import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import { api, type UserPatch, type UserView } from '@/api';
import { useMe } from '@/app/session';
import { Question } from '@/ui/confirm';
import { Facts, Row } from '@/ui/rows';
import { StateLabel } from '@/ui/states';
import { Ago } from '@/ui/time';
import { told } from '@/ui/told';
import { AdminQuestion, PasswordForm, UserTokens } from './user-dialogs';
import { useFreshUsers } from './users';

export function UserRow({ user }: { user: UserView }) {
  const me = useMe();
  const admin = user.role === 'admin';
  const disabled = user.disabled_at !== null;
  return (
    <Row
      icon={admin ? <IconShieldHalf size={17} stroke={1.6} /> : <IconUser size={17} stroke={1.6} />}
      dim={disabled}
      title={
        <>
          {user.name}
          {user.display_name && <span className="faint">{user.display_name}</span>}
          {admin && <StateLabel look="running" word="admin" />}
          {disabled && <StateLabel look="skipped" word="disabled" />}
          {me?.name === user.name && <span className="faint">you</span>}
        </>
      }
      sub={
        <Facts>
          {user.email && <span>{user.email}</span>}
          <span>{user.has_password ? 'logs in by password' : 'logs in by a provider'}</span>
        </Facts>
      }
      meta={
        <span>
          added <Ago at={user.created_at} />
        </span>
      }
      actions={<Actions user={user} self={me?.name === user.name} />}
    />
  );
}

type Shown = 'role' | 'password' | 'tokens' | 'disable';

function Actions({ user, self }: { user: UserView; self: boolean }) {
  const freshen = useFreshUsers();
  const [shown, setShown] = useState<Shown>();
  const close = () => setShown(undefined);
  const send = (body: UserPatch) => api.changeUser({ path: { name: user.name }, body });
  const letIn = useMutation({
    mutationFn: () => send({ disabled: false }),
    onSuccess: () => told(`${user.name} can log in again`),
    onSettled: freshen,
  });
  const admin = user.role === 'admin';
  const disabled = user.disabled_at !== null;
  return (
    <>
      <Menu position="bottom-end" width={230}>
        <Menu.Target>
          <ActionIcon variant="subtle" color="gray" aria-label={`What can be done with ${user.name}`}>
            <IconDots size={17} />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item onClick={() => setShown('role')}>
            {admin ? 'Make a plain user' : 'Make an admin of the server'}
          </Menu.Item>
          <Menu.Item onClick={() => setShown('password')}>Set a password</Menu.Item>
          <Menu.Item onClick={() => setShown('tokens')}>API tokens</Menu.Item>
          <Menu.Divider />
          <Menu.Item
            color={disabled ? undefined : 'red'}
            disabled={self}
            onClick={() => (disabled ? letIn.mutate() : setShown('disable'))}
          >
            {disabled ? 'Let in again' : 'Disable'}
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
      <Modal opened={shown === 'role'} onClose={close} title={`${admin ? 'Plain user' : 'Admin'}: ${user.name}`}>
        <AdminQuestion user={user} self={self} onDone={freshen} close={close} />
      </Modal>
      <Modal opened={shown === 'password'} onClose={close} title={`A password for ${user.name}`}>
        <PasswordForm name={user.name} onDone={close} />
      </Modal>
      <Modal opened={shown === 'tokens'} onClose={close} title={`API tokens of ${user.name}`} size="xl">
        <UserTokens name={user.name} />
      </Modal>
      <Modal opened={shown === 'disable'} onClose={close} title={`Disable ${user.name}`}>
        <Question label="Disable" word={user.name} act={() => send({ disabled: true })} onDone={freshen} close={close}>
          They are logged out at once, and their tokens open nothing. What they did stays, and they can be let in again.
        </Question>
      </Modal>
    </>
  );
}
