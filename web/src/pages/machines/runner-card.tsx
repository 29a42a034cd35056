import { Badge, Button, Paper } from '@mantine/core';
import { IconServer2 } from '@tabler/icons-react';
import { useMutation } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { api, type Facts, type LoadInfo, type RunnerInfo, type WorkView } from '@/api';
import { useMay } from '@/app/session';
import { Confirm } from '@/ui/confirm';
import { bytes } from '@/ui/small';
import { StateLabel } from '@/ui/states';
import { Ago, Duration } from '@/ui/time';
import { told } from '@/ui/told';
import { useFreshRunners } from './runners';
import classes from './runners.module.css';
import { StepLink } from './step-link';
import { reservedWords, stateOf, workKey } from './work';

export function RunnerCard({ runner, work }: { runner: RunnerInfo; work: WorkView[] }) {
  const { look, word, advice } = stateOf(runner);
  return (
    <Paper component="li" className={classes.card}>
      <div className={classes.head}>
        <IconServer2 size={18} stroke={1.6} aria-hidden />
        <h2 className={classes.name}>{runner.name}</h2>
        <StateLabel look={look} word={word} />
      </div>
      <Load busy={runner.busy} capacity={runner.capacity} />
      {runner.busy > 0 && <Held work={work} />}
      {(advice ?? runner.busy === 0) && <p className={classes.idle}>{advice ?? 'It has nothing to do.'}</p>}
      <About runner={runner} />
      <Labels labels={runner.labels} />
      <Attributes attributes={runner.attributes} />
      <Actions runner={runner} />
    </Paper>
  );
}

function Load({ busy, capacity }: { busy: number; capacity: number }) {
  const places = Array.from({ length: capacity }, (_, place) => place);
  return (
    <div className={classes.load}>
      <span className={classes.places} aria-hidden>
        {places.map((place) => (
          <span key={place} className={classes.place} data-taken={place < busy || undefined} />
        ))}
      </span>
      <span className="numbers">
        {busy} of {capacity}
      </span>
    </div>
  );
}

function Held({ work }: { work: WorkView[] }) {
  if (work.length === 0) return <p className={classes.idle}>What it has is not for you to see.</p>;
  return (
    <ul className={classes.held} aria-label="What it has">
      {work.map((each) => (
        <li key={workKey(each)}>
          <StepLink work={each} whole />
          <span className="faint">
            <Duration from={each.started_at ?? each.queued_at} />
          </span>
        </li>
      ))}
    </ul>
  );
}

function About({ runner }: { runner: RunnerInfo }) {
  const facts = runner.facts as Facts;
  return (
    <dl className={classes.facts}>
      {runner.embedded ? (
        <Fact name="Where">inside the server</Fact>
      ) : (
        <Fact name="Last heard of">
          <Ago at={runner.seen_at} />
        </Fact>
      )}
      <Fact name="Version">{facts.version}</Fact>
      <Fact name="Docker">
        {[facts.engine, facts.compose && `compose ${facts.compose}`].filter(Boolean).join(', ')}
      </Fact>
      <Fact name="Machine">
        {[facts.machine, facts.cpus && `${facts.cpus} CPUs`, facts.memory && bytes(facts.memory)]
          .filter(Boolean)
          .join(', ')}
      </Fact>
      <Fact name="Reserved">{reservedWords(runner)}</Fact>
      <Fact name="Load">{runner.load && loadWords(runner.load)}</Fact>
    </dl>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  if (!children) return null;
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function loadWords({ processes, memory_free, disk_free }: LoadInfo): string {
  return `${processes}; free: ${bytes(memory_free)} of memory, ${bytes(disk_free)} of the disk`;
}

function Attributes({ attributes }: { attributes: RunnerInfo['attributes'] }) {
  const all = Object.entries(attributes);
  if (all.length === 0) return null;
  return (
    <details className={classes.attributes}>
      <summary>What constraints of steps see</summary>
      <ul>
        {all.map(([name, value]) => (
          <li key={name}>
            <code>
              {name} == {value}
            </code>
          </li>
        ))}
      </ul>
    </details>
  );
}

function Labels({ labels }: { labels: RunnerInfo['labels'] }) {
  const all = Object.entries(labels);
  if (all.length === 0) return null;
  return (
    <div className={classes.labels}>
      {all.map(([name, value]) => (
        <Badge key={name} color="gray">
          {name}={String(value)}
        </Badge>
      ))}
    </div>
  );
}

type Change = 'activate' | 'cordon' | 'drain';

const CHANGED: Record<Change, string> = {
  activate: 'gets work again',
  cordon: 'gets no more work, and stays',
  drain: 'gets no more work',
};

function Actions({ runner }: { runner: RunnerInfo }) {
  const may = useMay();
  const freshen = useFreshRunners();
  const path = { name: runner.name };
  const change = useMutation({
    mutationFn: async (to: Change) => {
      const acts = { activate: api.activateRunner, cordon: api.cordonRunner, drain: api.drainRunner };
      await acts[to]({ path });
    },
    onSuccess: (_, to) => told(`${runner.name} ${CHANGED[to]}`),
    onSettled: freshen,
  });
  if (!may('runner.drain')) return null;
  const button = (to: Change, label: string, title: string) => (
    <Button
      variant="default"
      loading={change.isPending && change.variables === to}
      onClick={() => change.mutate(to)}
      title={title}
    >
      {label}
    </Button>
  );
  return (
    <div className={classes.actions}>
      {runner.state !== 'active' && button('activate', 'Activate', 'Give it work again')}
      {runner.state === 'active' && !runner.embedded && button('cordon', 'Cordon', 'Give it no more work; it stays')}
      {runner.state !== 'draining' && button('drain', 'Drain', drainWords(runner))}
      {may('runner.register') && !runner.embedded && (
        <Confirm
          label="Revoke"
          title={`Revoke ${runner.name}`}
          word={runner.name}
          variant="subtle"
          color="red"
          act={() => api.revokeRunner({ path })}
          onDone={freshen}
        >
          Its key opens nothing any more. What it works on is lost.
        </Confirm>
      )}
    </div>
  );
}

function drainWords({ embedded }: RunnerInfo): string {
  return embedded ? 'Give it no more work' : 'Give it no more work; its program ends when it has none left';
}
