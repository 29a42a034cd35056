import { ActionIcon } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconChevronDown } from '@tabler/icons-react';
import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import type { AuditEntry } from '@/api';
import { Facts, Row } from '@/ui/rows';
import { Ago, exactTime } from '@/ui/time';
import classes from './audit.module.css';
import { actionWords, detailWords, objectWords, runOf } from './audit-words';

/** What somebody did, in a sentence; the rest of it on asking. */
export function AuditRow({ entry }: { entry: AuditEntry }) {
  const [opened, more] = useDisclosure();
  const details = detailWords(entry.detail);
  const { project } = entry;
  const elsewhere = entry.object !== `project:${project}` && project;
  const told = opened ? [] : details.slice(0, 3);
  return (
    <Row
      title={
        <span className={classes.sentence}>
          <strong>{entry.actor || 'somebody'}</strong> {actionWords(entry.action)} <Subject entry={entry} />
        </span>
      }
      sub={
        (elsewhere || told.length > 0) && (
          <Facts>
            {elsewhere && <span>{project}</span>}
            {told.map(([name, value]) => (
              <span key={name}>
                {name} {value.length > 60 ? `${value.slice(0, 60)}…` : value}
              </span>
            ))}
          </Facts>
        )
      }
      meta={<Ago at={entry.at} />}
      actions={
        <ActionIcon
          variant="subtle"
          color="gray"
          aria-label={`Details of entry ${entry.seq}`}
          aria-expanded={opened}
          onClick={more.toggle}
        >
          <IconChevronDown size={16} className={classes.chevron} data-opened={opened || undefined} />
        </ActionIcon>
      }
    >
      {opened && (
        <dl className={classes.details}>
          <Detail name="Entry">{entry.seq}</Detail>
          <Detail name="When">{exactTime(entry.at)}</Detail>
          <Detail name="Action">{entry.action}</Detail>
          <Detail name="Object">{entry.object}</Detail>
          {details.map(([name, value]) => (
            <Detail key={name} name={name}>
              {value}
            </Detail>
          ))}
          <Detail name="From">{entry.address}</Detail>
          <Detail name="With">{entry.via}</Detail>
          <Detail name="Hash">{entry.hash}</Detail>
        </dl>
      )}
    </Row>
  );
}

function Subject({ entry }: { entry: AuditEntry }) {
  const run = runOf(entry);
  if (run && entry.project) {
    return (
      <Link to="/projects/$project/runs/$number" params={{ project: entry.project, number: run }}>
        {entry.detail.number === undefined ? run : `#${String(entry.detail.number)}`}
      </Link>
    );
  }
  return <span className={classes.object}>{objectWords(entry)}</span>;
}

function Detail({ name, children }: { name: string; children: ReactNode }) {
  if (children === '' || children === null) return null;
  return (
    <>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </>
  );
}
