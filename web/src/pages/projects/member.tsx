import { Modal, Select } from '@mantine/core';
import { IconUser } from '@tabler/icons-react';
import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import { api, type MemberView, type Role } from '@/api';
import { useMe } from '@/app/session';
import { Confirm, Question } from '@/ui/confirm';
import { Row } from '@/ui/rows';
import { told } from '@/ui/told';
import { asksFirst, changeWords, labelOf, mayWords, nounOf, ROLES } from './roles';
import { useFreshMembers } from './use-fresh-members';

interface MemberProps {
  project: string;
  member: MemberView;
  change: boolean;
}

export function Member({ project, member, change }: MemberProps) {
  const me = useMe();
  const self = me?.name === member.name;
  return (
    <Row
      icon={<IconUser size={17} stroke={1.6} />}
      title={
        <>
          {member.name}
          {member.display_name && <span className="faint">{member.display_name}</span>}
          {self && <span className="faint">you</span>}
        </>
      }
      sub={mayWords(member.role)}
      meta={!change && labelOf(member.role)}
      actions={
        change && (
          <>
            <RoleOf project={project} member={member} last={self && !me?.admin} />
            <RemoveMember project={project} name={member.name} />
          </>
        )
      }
    />
  );
}

interface RoleOfProps {
  project: string;
  member: MemberView;
  /** Whether who looks changes their own role, and could not change it back. */
  last: boolean;
}

/** What takes rights away, or lets the person give some, asks first: the select is changed by one key. */
function RoleOf({ project, member: { name, role }, last }: RoleOfProps) {
  const freshen = useFreshMembers(project);
  const [wanted, setWanted] = useState<Role>();
  const send = (to: Role) => api.putMember({ path: { project, name }, body: { role: to } });
  const done = (to: Role) => {
    told(`${name} is ${nounOf(to)} now`);
    return freshen();
  };
  const put = useMutation({ mutationFn: send, onSuccess: (_answer, to) => done(to) });
  const choose = (to: Role) => {
    if (asksFirst(role, to)) setWanted(to);
    else put.mutate(to);
  };
  const close = () => setWanted(undefined);
  return (
    <>
      <Select
        aria-label={`Role of ${name}`}
        size="xs"
        data={ROLES}
        allowDeselect={false}
        value={wanted ?? (put.isPending ? put.variables : role)}
        disabled={put.isPending}
        onChange={(value) => value && value !== role && choose(value as Role)}
      />
      <Modal opened={wanted !== undefined} onClose={close} title={wanted && `${labelOf(wanted)}: ${name}`}>
        {wanted && (
          <Question
            label={`Make ${last ? 'me' : name} ${nounOf(wanted)}`}
            harmless={wanted === 'maintainer'}
            act={() => send(wanted)}
            onDone={() => done(wanted)}
            close={close}
          >
            {changeWords(name, role, wanted)} {last && 'You cannot take that back yourself.'}
          </Question>
        )}
      </Modal>
    </>
  );
}

function RemoveMember({ project, name }: { project: string; name: string }) {
  const freshen = useFreshMembers(project);
  return (
    <Confirm
      label="Remove"
      title={`Remove ${name} from ${project}`}
      variant="subtle"
      color="red"
      aria-label={`Remove ${name}`}
      act={() => api.removeMember({ path: { project, name } })}
      onDone={freshen}
    >
      {name} will not see a private project any more. What they did stays.
    </Confirm>
  );
}
