/** All that is known of an attempt: why it ended as it did, where its time went, what ran where, and how to look closer. */
import { IconChevronRight } from '@tabler/icons-react';
import { Link } from '@tanstack/react-router';
import { type ReactNode, useState } from 'react';
import { Command, CommitId, Copy } from '@/ui/small';
import { lookOfStep, StateLabel } from '@/ui/states';
import { Attempts } from './details/attempts';
import { PhaseBar } from './details/bar';
import { Compose } from './details/compose';
import classes from './details/details.module.css';
import { REASONS } from './details/reasons';
import { Services } from './details/services';
import { Variables } from './details/variables';
import { WhyItWaits } from './details/waiting';
import type { PaneProps } from './pane';

export function DetailsPane({ run, step, attempt }: PaneProps) {
  const input = attempt?.input_commit ?? step.input_commit;
  return (
    <div className={classes.pane}>
      <Verdict run={run} step={step} attempt={attempt} />
      {attempt && (
        <Part title="Where the time went">
          <PhaseBar attempt={attempt} />
        </Part>
      )}
      {step.attempts.length > 0 && (
        <Part title="Attempts">
          <Attempts step={step} chosen={attempt} />
        </Part>
      )}
      {attempt && (
        <Part title="Services">
          <Services step={step} attempt={attempt} />
        </Part>
      )}
      <Part title="More">
        <Facts run={run} step={step} attempt={attempt} />
      </Part>
      {input && (
        <Part title="Look closer">
          <Closer run={run} step={step} attempt={attempt} />
        </Part>
      )}
      {input && (
        <Folded title="Variables that it got">
          <Variables run={run.id} commit={input} />
        </Folded>
      )}
      {attempt && (
        <Folded title="Compose file as the engine got it">
          <Compose run={run.id} step={step.key} attempt={attempt.attempt} />
        </Folded>
      )}
    </div>
  );
}

function Verdict({ run, step, attempt }: PaneProps) {
  const outcome = attempt?.outcome ?? step.outcome;
  const reason = attempt ? attempt.reason : step.reason;
  const message = attempt && !step.returning ? attempt.message : step.message;
  const waits = step.returning || (step.outcome === null && !['running', 'serving'].includes(step.state));
  return (
    <section className={classes.verdict} aria-label="How it went">
      <StateLabel look={attempt?.outcome ?? lookOfStep(step)} />
      {reason && (
        <p>
          {REASONS[reason].words} <span className="faint">{REASONS[reason].advice}</span>
        </p>
      )}
      {message && <p className={classes.message}>{message}</p>}
      {waits && <WhyItWaits run={run} step={step} />}
      {step.allow_failure && outcome === 'failed' && (
        <p className="faint">It may fail: the run goes on as if it had succeeded.</p>
      )}
    </section>
  );
}

function Facts({ run, step, attempt }: PaneProps) {
  const origin = attempt?.cached;
  return (
    <dl className={classes.facts}>
      <Fact name="Input">
        <Commit commit={attempt?.input_commit ?? step.input_commit} />
      </Fact>
      <Fact name="Result">
        <Commit commit={attempt ? attempt.commit : step.result_commit} />
      </Fact>
      {origin && (
        <Fact name="Taken from">
          <RunLink project={run.project} number={origin.number} step={origin.step} /> by the step cache
        </Fact>
      )}
      {step.reused && run.rerun_of !== null && (
        <Fact name="Taken from">
          <RunLink project={run.project} number={run.rerun_of} step={step.key} />: this run began behind it
        </Fact>
      )}
      {step.environment && <Fact name="Environment">{step.environment}</Fact>}
      <Fact name="Runs when">
        {step.join === 'all'
          ? 'all ways into it are decided'
          : step.join === 'any'
            ? 'one way into it is taken'
            : 'the first way into it is taken'}
      </Fact>
      <Fact name="Secrets">
        {run.trust === 'untrusted'
          ? 'withheld: the author of the commit is not trusted'
          : 'those that the step declares; their values are never shown'}
      </Fact>
    </dl>
  );
}

function Closer({ run, step, attempt }: PaneProps) {
  const prefix = `flow --server ${window.location.origin} --project ${quoted(run.project)}`;
  const which = attempt && attempt !== step.attempts.at(-1) ? ` --attempt ${attempt.attempt}` : '';
  return (
    <div className={classes.commands}>
      <p>A shell in exactly what the step found, on your machine:</p>
      <Command>{`${prefix} debug ${run.number} ${quoted(step.key)}${which}`}</Command>
      {(attempt ? attempt.commit : step.result_commit) && (
        <>
          <p>In what it left:</p>
          <Command>{`${prefix} debug ${run.number} ${quoted(step.key)}${which} --output`}</Command>
        </>
      )}
      <p>The whole run as a git repository, each step a commit:</p>
      <Command>{`${prefix} clone ${run.number} ${quoted(`${run.project}-${run.number}`)}`}</Command>
    </div>
  );
}

/** Return a word as a shell takes it as one. */
const quoted = (word: string) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

function RunLink({ project, number, step }: { project: string; number: number; step: string }) {
  return (
    <Link
      to="/projects/$project/runs/$number"
      params={{ project, number: String(number) }}
      search={{ step, tab: 'details' }}
    >
      step {step} of run #{number}
    </Link>
  );
}

function Commit({ commit }: { commit: string | null }) {
  if (commit === null) return <span className="faint">none</span>;
  return (
    <span className={classes.digest}>
      <CommitId commit={commit} />
      <Copy value={commit} label="Copy the id of the commit" />
    </span>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Part({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section aria-label={title}>
      <h3>{title}</h3>
      {children}
    </section>
  );
}

/** What is asked for when somebody opens it. */
function Folded({ title, children }: { title: string; children: ReactNode }) {
  const [open, setOpen] = useState(false);
  return (
    <section aria-label={title}>
      <h3>
        <button type="button" className={classes.fold} aria-expanded={open} onClick={() => setOpen(!open)}>
          <IconChevronRight size={14} aria-hidden />
          {title}
        </button>
      </h3>
      {open && children}
    </section>
  );
}
