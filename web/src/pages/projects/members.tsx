/** Who has a role in a project. */
import { IconUsers } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { listMembersOptions } from '@/api';
import { useMay } from '@/app/session';
import { Empty, Loaded } from '@/ui/panels';
import { Rows } from '@/ui/rows';
import { Section } from '@/ui/section';
import { AddMember } from './add-member';
import { Member } from './member';

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
