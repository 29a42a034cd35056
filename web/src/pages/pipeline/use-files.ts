/** The pipeline files of a project at a ref, as somebody edits them, and what the server says of them. */
import { useDebouncedValue } from '@mantine/hooks';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { api, asProblem, getSourceFileOptions, listPipelinesOptions, type PipelinesView } from '@/api';
import { useEdits } from './edits';

const PAUSE = 250; // milliseconds without a key before the server is asked
const USUAL = '.flow.yml';

/** What stands in the editor of a project that has no pipeline yet. */
const EXAMPLE = `# Nothing is saved here: put this into the repository as .flow.yml when it is as you like it.
pipelines:
  release:
    steps:
      build:
        compose:
          services:
            build: {image: alpine, command: echo building}
        success: [test]
      test:
        compose:
          services:
            test: {image: alpine, command: echo testing}
`;

/** The file that an address means: the one it names, else that of the pipeline, else one with something wrong, else the first. */
function pathOf(view: PipelinesView, pipeline: string): string {
  const own = view.pipelines.find((each) => each.name === pipeline)?.file;
  const wrong = view.findings.map((each) => String(each.file)).find((file) => view.files.includes(file));
  return own ?? wrong ?? view.files[0] ?? USUAL;
}

export function useFiles(project: string, pipeline: string, ref: string, wanted?: string) {
  const view = useQuery(listPipelinesOptions({ path: { project }, query: { ref } }));
  const path = wanted ?? (view.data && pathOf(view.data, pipeline)) ?? '';
  const source = useQuery({
    ...getSourceFileOptions({ path: { project }, query: { path, ref } }),
    enabled: path !== '',
    retry: false,
  });
  const [edits, change] = useEdits(project, ref);
  const missing = source.error !== null && asProblem(source.error).status === 404;
  const original = source.data?.text ?? (missing ? (path === USUAL ? EXAMPLE : '') : undefined);
  const text = edits[path] ?? original;
  const files = text === undefined ? edits : { ...edits, [path]: text };
  const [checked] = useDebouncedValue(files, PAUSE);
  const lint = useQuery({
    queryKey: ['lintProject', project, ref, checked],
    queryFn: async ({ signal }) =>
      (await api.lintProject({ path: { project }, query: { ref }, body: { files: checked }, signal })).data,
    enabled: path !== '' && path in checked,
    placeholderData: keepPreviousData,
    gcTime: 0, // each text is another question
  });
  return {
    view,
    path,
    text,
    missing,
    error: missing ? null : source.error,
    edited: path in edits,
    /** What is the same as in the repository is not an edit. */
    edit: (next: string) => change(path, next === source.data?.text ? undefined : next),
    reset: () => change(path, undefined),
    lint,
  };
}
