/** The schedules of a project, as its default branch has them. */
import { Button } from '@mantine/core';
import { IconClock, IconClockPause, IconPlayerPause, IconPlayerPlay } from '@tabler/icons-react';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { api, listPipelinesOptions, listSchedulesOptions, listSchedulesQueryKey, type ScheduleView } from '@/api';
import { useMay } from '@/app/session';
import { Empty, Loaded } from '@/ui/panels';
import { Facts, Row, Rows } from '@/ui/rows';
import { Section } from '@/ui/section';
import { Branch } from '@/ui/small';
import { StateLabel } from '@/ui/states';
import { Ago } from '@/ui/time';
import { told } from '@/ui/told';
import { ownZone } from '@/ui/zones';
import { fireTime } from './fire-times';
import classes from './schedules.module.css';

export function Schedules({ project }: { project: string }) {
  const schedules = useQuery(listSchedulesOptions({ path: { project } }));
  return (
    <Section
      title="Schedules"
      about="Pipeline files have them, under on: schedule. The head of the default branch counts."
      bare
    >
      <Unusable project={project} />
      <Loaded query={schedules} rows={2}>
        {(all) =>
          all.length === 0 ? (
            <Empty icon={<IconClock size={28} stroke={1.4} />} title="No schedule">
              <code>{"on: {schedule: [{cron: '0 3 * * *', timezone: Europe/Riga}]}"}</code>
            </Empty>
          ) : (
            <Rows label="Schedules">
              {all.map((schedule) => (
                <Schedule key={`${schedule.pipeline}/${schedule.position}`} project={project} schedule={schedule} />
              ))}
            </Rows>
          )
        }
      </Loaded>
    </Section>
  );
}

/** Says that the files at the head have errors: then the schedules are those of before. */
function Unusable({ project }: { project: string }) {
  const found = useQuery(listPipelinesOptions({ path: { project } })).data;
  if (!found?.findings.some((each) => each.severity === 'error')) return null;
  return (
    <p role="status" className={classes.error}>
      The pipeline files of {found.branch || 'the default branch'} have errors, so these schedules are still those of
      before.{' '}
      <Link to="/projects/$project" params={{ project }} search={{ tab: 'pipelines' }}>
        What is wrong
      </Link>
    </p>
  );
}

function Schedule({ project, schedule }: { project: string; schedule: ScheduleView }) {
  const paused = schedule.paused_at !== null;
  return (
    <Row
      icon={paused ? <IconClockPause size={17} stroke={1.6} /> : <IconClock size={17} stroke={1.6} />}
      title={
        <>
          <Link to="/projects/$project/pipelines/$pipeline" params={{ project, pipeline: schedule.pipeline }}>
            {schedule.pipeline}
          </Link>
          {paused && <StateLabel look="skipped" word="paused" />}
        </>
      }
      sub={
        <>
          <Facts>
            <span>{schedule.words}</span>
            <code>{schedule.cron}</code>
            {schedule.branch && <Branch name={schedule.branch} />}
          </Facts>
          {schedule.error && <div className={classes.error}>The last time nothing began: {schedule.error}</div>}
        </>
      }
      meta={<Last project={project} schedule={schedule} />}
      actions={<Pause project={project} schedule={schedule} />}
    >
      {schedule.next.length > 0 && <NextTimes schedule={schedule} />}
    </Row>
  );
}

function NextTimes({ schedule }: { schedule: ScheduleView }) {
  const here = ownZone();
  const zones = schedule.timezone === here ? [here] : [here, schedule.timezone];
  return (
    <table className={classes.times}>
      <thead>
        <tr>
          <th scope="col">Next</th>
          {zones.map((zone) => (
            <th scope="col" key={zone}>
              {zone === here ? `${zone}, yours` : zone}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {schedule.next.slice(0, 3).map((at) => (
          <tr key={at}>
            <td>
              <Ago at={at} />
            </td>
            {zones.map((zone) => (
              <td key={zone}>{fireTime(at, zone)}</td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Last({ project, schedule }: { project: string; schedule: ScheduleView }) {
  if (schedule.last_at === null) return <span>never due yet</span>;
  return (
    <span>
      {schedule.last_run ? (
        <Link to="/projects/$project/runs/$number" params={{ project, number: schedule.last_run }}>
          last run
        </Link>
      ) : (
        'last'
      )}{' '}
      <Ago at={schedule.last_at} />
    </span>
  );
}

function Pause({ project, schedule }: { project: string; schedule: ScheduleView }) {
  const queries = useQueryClient();
  const may = useMay();
  const paused = schedule.paused_at !== null;
  const change = useMutation({
    mutationFn: () =>
      api.changeSchedule({
        path: { project, pipeline: schedule.pipeline, position: schedule.position },
        body: { paused: !paused },
      }),
    onSuccess: async () => {
      await queries.invalidateQueries({ queryKey: listSchedulesQueryKey({ path: { project } }) });
      told(paused ? 'It goes on' : 'Paused');
    },
  });
  if (!may('schedule.change', project)) return null;
  return (
    <Button
      variant="default"
      leftSection={paused ? <IconPlayerPlay size={14} /> : <IconPlayerPause size={14} />}
      loading={change.isPending}
      onClick={() => change.mutate()}
    >
      {paused ? 'Resume' : 'Pause'}
    </Button>
  );
}
