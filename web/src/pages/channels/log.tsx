/** What a channel was told, is to be told, and what it could not be told. */
import { Button } from '@mantine/core';
import { IconRefresh } from '@tabler/icons-react';
import { useMutation } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { useEffect, useRef } from 'react';
import { api, type ChannelView, type DispatchView } from '@/api';
import { Pages } from '@/ui/pages';
import { Empty } from '@/ui/panels';
import { useReturning } from '@/ui/returning';
import { Facts, Row, Rows } from '@/ui/rows';
import { Section } from '@/ui/section';
import { StateLabel } from '@/ui/states';
import { Ago } from '@/ui/time';
import { told } from '@/ui/told';
import classes from './channels.module.css';
import { stateOf, titleOf } from './dispatches';
import { type Owner, useChannelActs, useLog } from './owner';
import { useDue } from './use-due';

export function Log({ project, channel }: { project: Owner; channel: ChannelView }) {
  const log = useLog(project, channel.name);
  const { freshenLog } = useChannelActs(project);
  const freshen = () => freshenLog(channel.name);
  const all = log.data?.pages.flatMap((page) => page.items) ?? [];
  useDue(all, freshen);
  useReturning(freshen);
  const top = useRef<HTMLDivElement>(null);
  useEffect(() => {
    top.current?.scrollIntoView({ block: 'nearest' });
  }, []);
  return (
    <div ref={top}>
      <Section
        title={`Log of ${channel.name}`}
        about="The newest first. What could not be sent is tried again for a while, at longer and longer intervals."
        actions={
          <Button
            variant="default"
            leftSection={<IconRefresh size={14} aria-hidden />}
            loading={log.isRefetching}
            onClick={() => void freshen()}
          >
            Look again
          </Button>
        }
        bare
      >
        <Pages query={log}>
          {(found: DispatchView[]) =>
            found.length === 0 ? (
              <Empty title="Nothing yet">What its rule lets through shows up here, and what Test sends.</Empty>
            ) : (
              <Rows label="Log">
                {found.map((dispatch) => (
                  <Entry key={dispatch.id} project={project} channel={channel} dispatch={dispatch} />
                ))}
              </Rows>
            )
          }
        </Pages>
      </Section>
    </div>
  );
}

interface EntryProps {
  project: Owner;
  channel: ChannelView;
  dispatch: DispatchView;
}

function Entry({ project, channel, dispatch }: EntryProps) {
  const { look, word } = stateOf(dispatch);
  return (
    <Row
      title={
        <>
          <StateLabel look={look} word={word} />
          <span>{titleOf(dispatch)}</span>
          {dispatch.run && <RunLink project={project} dispatch={dispatch} />}
        </>
      }
      sub={
        <>
          {dispatch.error && (
            <div className={dispatch.state === 'sent' ? undefined : classes.error}>{dispatch.error}</div>
          )}
          {dispatch.answer && <div>It answered: {dispatch.answer}</div>}
        </>
      }
      meta={<When dispatch={dispatch} />}
      actions={<Again project={project} channel={channel} dispatch={dispatch} />}
    />
  );
}

function When({ dispatch: { state, tries, created_at, sent_at, next_at } }: { dispatch: DispatchView }) {
  return (
    <Facts>
      {tries > 0 && <span>{tries === 1 ? '1 try failed' : `${tries} tries failed`}</span>}
      {state === 'waiting' && next_at !== null && (
        <span>
          {next_at > Date.now() / 1000 ? 'next try' : 'due'} <Ago at={next_at} />
        </span>
      )}
      <Ago at={sent_at ?? created_at} />
    </Facts>
  );
}

/** The log of one's own channel names the run only by its id: where its page is, the server says when it is asked. */
function RunLink({ project, dispatch: { run, number, pipeline } }: Pick<EntryProps, 'project' | 'dispatch'>) {
  const navigate = useNavigate();
  const find = useMutation({
    mutationFn: () => api.getRun({ path: { run } }),
    onSuccess: ({ data }) =>
      navigate({ to: '/projects/$project/runs/$number', params: { project: data.project, number: String(number) } }),
  });
  const words = `${pipeline} #${number}`;
  if (project === undefined) {
    return (
      <button type="button" className={classes.run} onClick={() => find.mutate()}>
        {words}
      </button>
    );
  }
  return (
    <Link to="/projects/$project/runs/$number" params={{ project, number: String(number) }}>
      {words}
    </Link>
  );
}

function Again({ project, channel, dispatch }: EntryProps) {
  const { may, again, freshenLog } = useChannelActs(project);
  const sending = useMutation({
    mutationFn: () => again(channel.name, dispatch.id),
    onSuccess: () => told('It is sent again'),
    onSettled: () => freshenLog(channel.name),
  });
  if (!may || dispatch.state === 'waiting') return null;
  return (
    <Button
      variant="subtle"
      color="gray"
      disabled={channel.disabled}
      title={channel.disabled ? 'Enable the channel first' : undefined}
      loading={sending.isPending}
      onClick={() => sending.mutate()}
    >
      Send again
    </Button>
  );
}
