import { Autocomplete, Button, Select } from '@mantine/core';
import { IconShieldCheck } from '@tabler/icons-react';
import { useInfiniteQuery, useMutation, useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import {
  type AuditEntry,
  type AuditVerdict,
  api,
  listAuditInfiniteOptions,
  listProjectAuditInfiniteOptions,
  listProjectsOptions,
} from '@/api';
import { useMay, useMe } from '@/app/session';
import { clearButton } from '@/ui/clear-button';
import { Page } from '@/ui/page';
import { byCursor, Pages } from '@/ui/pages';
import { Empty } from '@/ui/panels';
import { Rows } from '@/ui/rows';
import { Copy } from '@/ui/small';
import { StateLabel } from '@/ui/states';
import classes from './audit.module.css';
import { AuditRow } from './audit-row';
import { ACTIONS } from './audit-words';

/** Who did what: all of it for admins, of a project for its maintainers. */
export function Audit() {
  const { project, actor, action } = useSearch({ from: '/shell/audit' });
  const me = useMe();
  const may = useMay();
  const all = may('audit.read');
  const some = Object.keys(me?.roles ?? {}).some((each) => may('audit.read', each));
  const open = project ? may('audit.read', project) : all;
  return (
    <Page title="Audit" actions={all && <Verify />}>
      {(all || some) && <Filters />}
      {open ? (
        <Entries key={`${project} ${actor} ${action}`} project={project} actor={actor} action={action} />
      ) : (
        <Empty title={some ? 'Choose a project' : 'Admins and maintainers see who did what'}>
          Maintainers see what was done in their projects; all of it is for admins of the server.
        </Empty>
      )}
    </Page>
  );
}

function Filters() {
  const chosen = useSearch({ from: '/shell/audit' });
  const navigate = useNavigate({ from: '/audit' });
  const may = useMay();
  const projects = useQuery(listProjectsOptions({ query: { archived: true } }));
  const choose = (change: Partial<typeof chosen>) =>
    void navigate({ search: (before) => ({ ...before, ...change }), replace: true });
  const names = (projects.data ?? []).map((each) => each.name).filter((name) => may('audit.read', name));
  return (
    <div className={classes.filters}>
      <Select
        aria-label="Project"
        placeholder="Every project"
        data={names}
        clearable
        clearButtonProps={clearButton('Every project')}
        searchable
        value={chosen.project ?? null}
        onChange={(project) => choose({ project: project ?? undefined })}
      />
      <Autocomplete
        aria-label="What was done"
        placeholder="Every action"
        data={ACTIONS}
        defaultValue={chosen.action}
        onOptionSubmit={(action) => choose({ action })}
        onBlur={(event) => choose({ action: event.currentTarget.value || undefined })}
        onKeyDown={(event) => event.key === 'Enter' && choose({ action: event.currentTarget.value || undefined })}
        clearable
        clearButtonProps={clearButton('Every action')}
        onClear={() => choose({ action: undefined })}
      />
      <Autocomplete
        aria-label="By whom"
        placeholder="Everybody"
        defaultValue={chosen.actor}
        onBlur={(event) => choose({ actor: event.currentTarget.value || undefined })}
        onKeyDown={(event) => event.key === 'Enter' && choose({ actor: event.currentTarget.value || undefined })}
        clearable
        clearButtonProps={clearButton('Everybody')}
        onClear={() => choose({ actor: undefined })}
      />
    </div>
  );
}

function Entries({ project, actor, action }: { project?: string; actor?: string; action?: string }) {
  const query = { limit: 100, ...(actor ? { actor } : {}), ...(action ? { action } : {}) };
  const whole = useInfiniteQuery({
    ...listAuditInfiniteOptions({ query }),
    ...byCursor,
    enabled: !project,
  });
  const part = useInfiniteQuery({
    ...listProjectAuditInfiniteOptions({ path: { project: project ?? '' }, query }),
    ...byCursor,
    enabled: !!project,
  });
  return (
    <Pages query={project ? part : whole}>
      {(entries: AuditEntry[]) =>
        entries.length === 0 ? (
          <Empty title="Nothing of that kind was done" />
        ) : (
          <Rows label="What was done, the newest first">
            {entries.map((entry) => (
              <AuditRow key={entry.seq} entry={entry} />
            ))}
          </Rows>
        )
      }
    </Pages>
  );
}

function Verify() {
  const verify = useMutation({ mutationFn: () => api.verifyAudit() });
  return (
    <>
      {verify.data && <Verdict verdict={verify.data.data} />}
      <Button
        variant="default"
        leftSection={<IconShieldCheck size={15} />}
        loading={verify.isPending}
        onClick={() => verify.mutate()}
      >
        Verify
      </Button>
    </>
  );
}

function Verdict({ verdict }: { verdict: AuditVerdict }) {
  if (verdict.problem) return <StateLabel look="failed" word={verdict.problem} />;
  return (
    <span className={classes.verdict} role="status">
      <StateLabel look="succeeded" word={`${verdict.rows} entries are as they were written`} />
      <Copy value={`${verdict.rows} ${verdict.hash}`} label="Copy the number and hash of the newest, to check later" />
    </span>
  );
}
