/** Starts a run by hand: where from, with which inputs and variables. */
import { Button, Checkbox } from '@mantine/core';
import { useHotkeys } from '@mantine/hooks';
import { IconLock, IconPlayerPlay } from '@tabler/icons-react';
import { useMutation, useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import { api, asProblem, getshownPipelineOptions, type PipelineView, type Problem } from '@/api';
import { useMay } from '@/app/session';
import { HeldNote, heldTitle } from '@/ui/held';
import { Page } from '@/ui/page';
import { Empty, ErrorPanel, Loading } from '@/ui/panels';
import { Keys } from '@/ui/small';
import { useLasting } from '@/ui/time';
import { VariablesEditor } from '@/ui/variables/editor';
import { InputField } from './input-field';
import { RefPicker } from './ref-picker';
import classes from './start.module.css';
import { bodyOf, EMPTY, errorsOf, type Filled } from './start-form';

const FROM = '/shell/projects/$project/pipelines/$pipeline/start';

export function Start() {
  const { project, pipeline } = useParams({ from: FROM });
  const { ref = '' } = useSearch({ from: FROM });
  const may = useMay();
  return (
    <Page
      title={`Run ${pipeline}`}
      crumbs={[
        { label: project, to: `/projects/${project}` },
        { label: pipeline, to: `/projects/${project}/pipelines/${pipeline}` },
      ]}
    >
      {may('run.start', project) ? (
        <Form project={project} pipeline={pipeline} gitRef={ref} />
      ) : (
        <Empty icon={<IconLock size={28} stroke={1.5} />} title="You may not start runs in this project">
          <p>Developers of a project may. Ask one of its maintainers.</p>
        </Empty>
      )}
    </Page>
  );
}

function Form({ project, pipeline, gitRef }: { project: string; pipeline: string; gitRef: string }) {
  const navigate = useNavigate();
  const [filled, setFilled] = useState<Filled>(EMPTY);
  const change = (part: Partial<Filled>) => setFilled((before) => ({ ...before, ...part }));
  const query = useQuery(getshownPipelineOptions({ path: { project, pipeline }, query: { ref: gitRef } }));
  const start = useMutation({
    mutationFn: async (view: PipelineView) => {
      const body = bodyOf({ ...filled, ref: gitRef }, view);
      return (await api.startRun({ path: { project, pipeline }, body })).data;
    },
    onSuccess: (run) =>
      navigate({ to: '/projects/$project/runs/$number', params: { project, number: String(run.number) } }),
    onError: () => {}, // stands at the fields
  });
  const view = query.data;
  const hold = view?.hold ?? null;
  const submit = () => view && !hold && !start.isPending && start.mutate(view);
  useHotkeys([['mod+Enter', submit]], []);
  const problem = start.error ? asProblem(start.error).problem : undefined;
  return (
    <form
      className={classes.form}
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      {hold && <HeldNote hold={hold} />}
      <RefPicker
        label="Branch, tag or commit"
        project={project}
        value={gitRef}
        onChange={(ref) => {
          start.reset();
          void navigate({ to: '.', search: ref ? { ref } : {}, replace: true });
        }}
      />
      {query.error && <NotThere error={query.error} project={project} pipeline={pipeline} gitRef={gitRef} />}
      <Fields query={query} filled={filled} change={change} problem={problem} />
      {problem && <Refused problem={problem} project={project} pipeline={pipeline} gitRef={gitRef} view={view} />}
      <div className={classes.send}>
        <Button
          type="submit"
          size="sm"
          loading={start.isPending}
          disabled={!view || hold !== null}
          title={hold ? heldTitle(hold) : undefined}
          leftSection={<IconPlayerPlay size={15} aria-hidden />}
        >
          Run {pipeline}
        </Button>
        <Keys keys="Ctrl Enter" />
      </div>
    </form>
  );
}

interface FieldsProps {
  query: { data: PipelineView | undefined; error: unknown; isPending: boolean };
  filled: Filled;
  change: (part: Partial<Filled>) => void;
  problem: Problem | undefined;
}

function Fields({ query: { data: view, error, isPending }, filled, change, problem }: FieldsProps) {
  const slow = useLasting(isPending);
  if (!view) return slow && !error ? <Loading rows={3} height={48} /> : null;
  const errors = errorsOf(problem);
  return (
    <>
      {view.description && <p className={classes.about}>{view.description}</p>}
      {view.inputs.map((input) => (
        <InputField
          key={input.name}
          input={input}
          value={filled.inputs[input.name]}
          error={errors.inputs[input.name]}
          onChange={(value) => change({ inputs: { ...filled.inputs, [input.name]: value } })}
        />
      ))}
      <VariablesEditor
        given={view.variables}
        edited={filled.variables}
        errors={errors.variables}
        onChange={(variables) => change({ variables })}
      />
      <Checkbox
        label="Run every step, whatever is recorded"
        description="No result is taken from the step cache."
        checked={filled.fresh}
        onChange={(event) => change({ fresh: event.currentTarget.checked })}
      />
    </>
  );
}

interface NotThereProps {
  error: unknown;
  project: string;
  pipeline: string;
  gitRef: string;
}

/** A pipeline that has errors is none of those at the ref: its file tells why. */
function NotThere({ error, project, pipeline, gitRef }: NotThereProps) {
  return (
    <>
      <ErrorPanel error={error} />
      {asProblem(error).status === 404 && (
        <Link
          to="/projects/$project/pipelines/$pipeline/file"
          params={{ project, pipeline }}
          search={gitRef ? { ref: gitRef } : {}}
        >
          What is wrong in the pipeline files there
        </Link>
      )}
    </>
  );
}

interface RefusedProps {
  problem: Problem;
  project: string;
  pipeline: string;
  gitRef: string;
  view: PipelineView | undefined;
}

/** What was refused for, but for what stands at a field of the form. */
function Refused({ problem, project, pipeline, gitRef, view }: RefusedProps) {
  const { inputs, variables, others } = errorsOf(problem);
  const findings = problem.findings ?? [];
  const atFields = Object.keys(inputs).every((name) => view?.inputs.some((input) => input.name === name));
  const all = atFields && others.length === 0 && Object.keys(inputs).length + Object.keys(variables).length > 0;
  return (
    <div className={classes.refused} role="alert">
      {all ? (
        <p>Nothing was started: see the fields above.</p>
      ) : (
        <>
          <p>
            <strong>{problem.title}.</strong> {problem.detail !== problem.title && problem.detail}
          </p>
          {problem.hint && <p className="faint">{problem.hint}</p>}
        </>
      )}
      {findings.length > 0 && (
        <p>
          <Link
            to="/projects/$project/pipelines/$pipeline/file"
            params={{ project, pipeline }}
            search={gitRef ? { ref: gitRef } : {}}
          >
            {findings.length === 1 ? 'One finding' : `${findings.length} findings`} in the pipeline files
          </Link>
        </p>
      )}
    </div>
  );
}
