/** Why a step ended as it did, in words, and what can be done about it. */
import type { Reason } from '@/api';

interface Words {
  words: string;
  advice: string;
}

export const REASONS: Record<Reason, Words> = {
  exit_code: {
    words: 'A main service ended with an exit code other than 0.',
    advice: 'The end of the log, or its first error, most often tells why.',
  },
  oom: {
    words: 'The kernel ended a main service because it used more memory than it may.',
    advice: 'Give the service more memory in its compose file, or let it use less.',
  },
  timeout: {
    words: 'It took longer than its timeout.',
    advice: 'Look at where the log stopped; raise `timeout` of the step if it needs more.',
  },
  merge_conflict: {
    words: 'Steps before it changed the same path in different ways.',
    advice: 'Say in the pipeline how that path is merged, or let one of the steps leave it alone.',
  },
  refused: {
    words: 'Its compose file or its workspace is not acceptable.',
    advice: 'The message says which line or path it is about.',
  },
  unhealthy: {
    words: 'A service did not become healthy.',
    advice: 'Look at the log of that service and at its healthcheck.',
  },
  dependency_failed: {
    words: 'A service that others wait for ended badly.',
    advice: 'Look at the log of that service.',
  },
  rejected: { words: 'A person refused it.', advice: 'Ask who refused it; the step can be run again from here.' },
  condition: { words: 'Its condition was false.', advice: 'Nothing has to be done.' },
  dead_path: { words: 'No way that leads to it was taken.', advice: 'Look at the steps before it.' },
  condition_error: {
    words: 'A condition could not be evaluated.',
    advice: 'The message says what is wrong with it; it is in the pipeline file.',
  },
  infra_lost: {
    words: 'The machine or its engine was lost while it ran. This is not the fault of the step.',
    advice: 'Run it again from here. `retry` with `on: [errored]` does that by itself.',
  },
  engine_error: {
    words: 'The container engine could not do it. This is not the fault of the step.',
    advice: 'Run it again from here; if it stays, look at the engine of that machine.',
  },
  image_unavailable: {
    words: 'An image could not be had.',
    advice: 'Check its name and whether the registry answers; then run the step again from here.',
  },
  workspace_error: {
    words: 'Its workspace could not be made or stored. This is not the fault of the step.',
    advice: 'Check the disk of that machine and of the server; then run the step again from here.',
  },
  user: { words: 'A person cancelled it.', advice: 'It can be run again from here.' },
  run_timeout: {
    words: 'The run took longer than its timeout.',
    advice: 'Raise `timeout` of the pipeline if it needs more.',
  },
  interrupted: { words: 'The program that drove the run was gone.', advice: 'The run can be resumed.' },
  superseded: { words: 'A newer run of its concurrency group took its place.', advice: 'Look at the newer run.' },
  withdrawn: { words: 'Its pull request was closed.', advice: 'Nothing has to be done.' },
};
