/** Chooses a branch, a tag or a commit. The server finds them: a repository may have thousands. */
import { Select } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { IconGitBranch, IconTag } from '@tabler/icons-react';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { type AnyRef, listRefsOptions } from '@/api';

interface RefPickerProps {
  project: string;
  /** Empty: the default branch. */
  value: string;
  onChange: (ref: string) => void;
  label?: string;
  error?: string;
}

const COMMIT = /^[0-9a-f]{7,64}$/i;
const MOST = 50;

export function RefPicker({ project, value, onChange, label, error }: RefPickerProps) {
  const [typed, setTyped] = useState('');
  const [search] = useDebouncedValue(typed.trim(), 200);
  const found = useQuery({
    ...listRefsOptions({ path: { project }, query: { search, limit: MOST } }),
    placeholderData: keepPreviousData,
  });
  const first = useQuery(listRefsOptions({ path: { project }, query: { search: '', limit: MOST } }));
  const usual = first.data?.find((ref) => ref.default)?.name ?? '';
  const chosen = value || usual;
  const refs = found.data ?? [];
  return (
    <Select
      label={label}
      aria-label={label ? undefined : 'Branch or tag'}
      error={error}
      data={groups(refs, chosen, typed)}
      filter={({ options }) => options /* the server has done that */}
      value={chosen || null}
      onChange={(ref) => ref && onChange(ref === usual ? '' : ref)}
      searchable
      onSearchChange={(text) => setTyped(text === chosen ? '' : text)}
      allowDeselect={false}
      nothingFoundMessage={found.isFetching ? 'Looking' : 'No branch or tag is called that'}
      leftSection={
        refs.find((ref) => ref.name === chosen)?.kind === 'tag' ? (
          <IconTag size={15} aria-hidden />
        ) : (
          <IconGitBranch size={15} aria-hidden />
        )
      }
      maxDropdownHeight={320}
    />
  );
}

/** Branches, tags, and what was typed when it may be a commit. Names are shown once: branches go first, as for the server. */
function groups(refs: AnyRef[], chosen: string, typed: string) {
  const branches = refs.filter((ref) => ref.kind === 'branch').map((ref) => ref.name);
  const tags = refs.filter((ref) => ref.kind === 'tag' && !branches.includes(ref.name)).map((ref) => ref.name);
  const others = [typed, chosen].filter((name, at) => COMMIT.test(name) || (at === 1 && name && !typed));
  const commits = [...new Set(others)].filter((name) => !branches.includes(name) && !tags.includes(name));
  return [
    { group: 'Commit', items: commits },
    { group: 'Branches', items: branches },
    { group: 'Tags', items: tags },
  ].filter((group) => group.items.length > 0);
}
