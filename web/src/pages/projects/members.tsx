/** Who has a role in a project. */
import { Autocomplete, Button, Select } from '@mantine/core';
import { IconUser, IconUsers } from '@tabler/icons-react';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { api, listMembersOptions, listMembersQueryKey, listUsersOptions, type MemberView, type Role } from '@/api';
import { useMay, useMe } from '@/app/session';
import { Confirm } from '@/ui/confirm';
import { Beside, FormProblem } from '@/ui/form';
import { useApiForm } from '@/ui/forms';
import { Empty, Loaded } from '@/ui/panels';
import { Row, Rows } from '@/ui/rows';
import { Section } from '@/ui/section';
import { told } from '@/ui/told';
import classes from './members.module.css';

const ROLES: { value: Role; label: string; may: string }[] = [
  { value: 'viewer', label: 'Viewer', may: 'looks at runs, logs and files' },
  { value: 'developer', label: 'Developer', may: 'also starts, cancels and reruns' },
  { value: 'approver', label: 'Approver', may: 'also approves deployments, and what comes from outside' },
  { value: 'maintainer', label: 'Maintainer', may: 'also changes settings, secrets, webhooks and members' },
];

export function Members({ project }: { project: string }) {
  const members = useQuery(listMembersOptions({ path: { project } }));
  const may = useMay();
  const change = may('member.change', project);
  return (
    <Section
      title="Members"
      about="One role each, and each role includes those before it. Admins of the server have every role everywhere."
      bare
    >
      {change && <AddMember project={project} members={members.data ?? []} />}
      <Loaded query={members} rows={3}>
        {(all) =>
          all.length === 0 ? (
            <Empty icon={<IconUsers size={28} stroke={1.4} />} title="No members yet">
              Only admins of the server work with this project.
            </Empty>
          ) : (
            <Rows label="Members">
              {all.map((member) => (
                <Member key={member.name} project={project} member={member} change={change} />
              ))}
            </Rows>
          )
        }
      </Loaded>
    </Section>
  );
}

function useFreshMembers(project: string) {
  const queries = useQueryClient();
  return () => queries.invalidateQueries({ queryKey: listMembersQueryKey({ path: { project } }) });
}

function AddMember({ project, members }: { project: string; members: MemberView[] }) {
  const may = useMay();
  const freshen = useFreshMembers(project);
  const users = useQuery({ ...listUsersOptions({ query: { limit: 200 } }), enabled: may('user.read') });
  const taken = new Set(members.map((member) => member.name));
  const form = useApiForm({
    initialValues: { name: '', role: 'developer' as Role },
    send: ({ name, role }) => api.putMember({ path: { project, name: name.trim() }, body: { role } }),
    onDone: (_answer, { name }) => {
      form.form.reset();
      told(`${name} is a member`);
      return freshen();
    },
  });
  return (
    <form onSubmit={form.submit} className={classes.add}>
      <Beside>
        <Autocomplete
          aria-label="Name of the user"
          placeholder="Name of a user"
          required
          data={(users.data?.items ?? []).map((user) => user.name).filter((name) => !taken.has(name))}
          {...form.field('name')}
        />
        <Select aria-label="Role" data={ROLES} allowDeselect={false} {...form.field('role')} />
        <Button type="submit" size="sm" variant="default" loading={form.sending}>
          Add
        </Button>
      </Beside>
      <p className="faint">{ROLES.find((role) => role.value === form.form.values.role)?.may}</p>
      <FormProblem problem={form.problem} />
    </form>
  );
}

interface MemberProps {
  project: string;
  member: MemberView;
  change: boolean;
}

function Member({ project, member, change }: MemberProps) {
  const me = useMe();
  const freshen = useFreshMembers(project);
  const path = { project, name: member.name };
  const put = useMutation({
    mutationFn: (role: Role) => api.putMember({ path, body: { role } }),
    onSuccess: () => told(`${member.name} has another role`),
    onSettled: freshen,
  });
  const role = ROLES.find((each) => each.value === member.role);
  return (
    <Row
      icon={<IconUser size={17} stroke={1.6} />}
      title={
        <>
          {member.name}
          {member.display_name && <span className="faint">{member.display_name}</span>}
          {me?.name === member.name && <span className="faint">you</span>}
        </>
      }
      sub={role?.may}
      meta={!change && role?.label}
      actions={
        change && (
          <>
            <Select
              aria-label={`Role of ${member.name}`}
              size="xs"
              data={ROLES}
              allowDeselect={false}
              value={put.isPending ? put.variables : member.role}
              disabled={put.isPending}
              onChange={(value) => value && put.mutate(value as Role)}
            />
            <Confirm
              label="Remove"
              title={`Remove ${member.name} from ${project}`}
              variant="subtle"
              color="red"
              aria-label={`Remove ${member.name}`}
              act={() => api.removeMember({ path })}
              onDone={freshen}
            >
              {member.name} will not see a private project any more. What they did stays.
            </Confirm>
          </>
        )
      }
    />
  );
}
