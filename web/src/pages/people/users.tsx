import { Button, Modal } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconPlus } from '@tabler/icons-react';
import { useInfiniteQuery, useQueryClient } from '@tanstack/react-query';
import { listUsersInfiniteOptions, listUsersQueryKey, type UserView } from '@/api';
import { useMay } from '@/app/session';
import { Page } from '@/ui/page';
import { byCursor, Pages } from '@/ui/pages';
import { Empty } from '@/ui/panels';
import { Rows } from '@/ui/rows';
import { told } from '@/ui/told';
import { UserForm } from './user-form';
import { UserRow } from './user-row';

/** All people of the server, for its admins. */
export function Users() {
  const may = useMay();
  if (!may('user.read')) {
    return (
      <Page title="Users">
        <Empty title="Admins of the server look after users">Ask one of them.</Empty>
      </Page>
    );
  }
  return <AllUsers />;
}

export function useFreshUsers() {
  const queries = useQueryClient();
  const [{ _id }] = listUsersQueryKey();
  return () =>
    queries.invalidateQueries({ predicate: ({ queryKey }) => (queryKey[0] as { _id?: string })?._id === _id });
}

function AllUsers() {
  const users = useInfiniteQuery({ ...listUsersInfiniteOptions(), ...byCursor });
  return (
    <Page title="Users" actions={<AddUser />}>
      <Pages query={users}>
        {(all: UserView[]) => (
          <Rows label="Users">
            {all.map((user) => (
              <UserRow key={user.name} user={user} />
            ))}
          </Rows>
        )}
      </Pages>
    </Page>
  );
}

function AddUser() {
  const [opened, modal] = useDisclosure();
  const freshen = useFreshUsers();
  return (
    <>
      <Button leftSection={<IconPlus size={15} />} onClick={modal.open}>
        Add a user
      </Button>
      <Modal opened={opened} onClose={modal.close} title="Add a user">
        <UserForm
          onCancel={modal.close}
          onDone={(user) => {
            modal.close();
            told(`${user.name} can log in`);
            return freshen();
          }}
        />
      </Modal>
    </>
  );
}
