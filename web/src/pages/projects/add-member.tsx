import { Autocomplete, Button, Select } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { api, listUsersOptions, type MemberView, type Role } from '@/api';
import { useMay } from '@/app/session';
import { Beside, FormProblem } from '@/ui/form';
import { useApiForm } from '@/ui/forms';
import { told } from '@/ui/told';
import classes from './members.module.css';
import { mayWords, ROLES } from './roles';
import { useFreshMembers } from './use-fresh-members';

export function AddMember({ project, members }: { project: string; members: MemberView[] }) {
  const may = useMay();
  const freshen = useFreshMembers(project);
  const users = useQuery({ ...listUsersOptions({ query: { limit: 200 } }), enabled: may('user.read') });
  const taken = new Set(members.map((member) => member.name));
  const form = useApiForm({
    initialValues: { name: '', role: 'developer' as Role },
    // The API would change the role of a member without a question.
    validate: { name: (name) => (taken.has(name.trim()) ? 'is a member already: change the role below' : null) },
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
      <p className="faint">{mayWords(form.form.values.role)}</p>
      <FormProblem problem={form.problem} />
    </form>
  );
}
