/** What the API finds wrong with a form belongs to its fields; the rest is said above the buttons. */
import { type GetInputPropsReturnType, type UseFormReturnType, useForm } from '@mantine/form';
import { useMutation } from '@tanstack/react-query';
import { asProblem, type Problem } from '@/api';

export interface Complaints {
  /** Messages by name of the field. */
  fields: Record<string, string>;
  /** What names no field of the form. */
  rest: Problem | undefined;
}

/** Sort what a request failed with. A place like `body.settings.poll` or `body.scopes.0` belongs to the field `poll` or `scopes`. */
export function complaints(error: unknown, names: readonly string[]): Complaints {
  const { problem } = asProblem(error);
  const fields: Record<string, string> = {};
  const others = (problem.errors ?? []).filter(({ where, message }) => {
    const name = where.split('.').findLast((part) => names.includes(part));
    if (name !== undefined) fields[name] = fields[name] ? `${fields[name]}; ${message}` : message;
    return name === undefined;
  });
  const all = Object.keys(fields).length > 0 && others.length === 0;
  if (all) return { fields: hinted(fields, problem.hint), rest: undefined };
  const detail = others.map((each) => `${each.where}: ${each.message}`).join('; ') || problem.detail;
  return { fields, rest: { ...problem, detail } };
}

/** The hint of a problem with one field stands there, too. */
function hinted(fields: Complaints['fields'], hint: string | undefined): Complaints['fields'] {
  const [name, ...others] = Object.keys(fields);
  return hint && name !== undefined && others.length === 0 ? { [name]: `${fields[name]}: ${hint}` } : fields;
}

interface ApiFormOptions<Values, Answer> {
  initialValues: Values;
  send: (values: Values) => Promise<Answer>;
  onDone: (answer: Answer, values: Values) => unknown;
  /** Besides saying why. */
  onFailed?: () => void;
  /** What can be known without asking; the server looks at all of it again. */
  validate?: Partial<{ [name in keyof Values]: (value: Values[name], values: Values) => string | null }>;
}

export interface ApiForm<Values> {
  form: UseFormReturnType<Values>;
  /** The properties of an input. */
  field: (name: keyof Values & string, type?: 'input' | 'checkbox') => GetInputPropsReturnType;
  submit: (event?: React.FormEvent<HTMLFormElement>) => void;
  /** Whether it was not sent yet. */
  untried: boolean;
  sending: boolean;
  problem: Problem | undefined;
}

/** A form that is sent to the API as a whole. */
export function useApiForm<Values extends Record<string, unknown>, Answer>({
  initialValues,
  send,
  onDone,
  onFailed,
  validate,
}: ApiFormOptions<Values, Answer>): ApiForm<Values> {
  const form = useForm<Values>({ initialValues, validate: validate as never });
  const names = Object.keys(initialValues);
  const sending = useMutation({
    mutationFn: send,
    onSuccess: onDone,
    onError: (error) => {
      onFailed?.();
      form.setErrors(complaints(error, names).fields);
    },
  });
  return {
    form: form as UseFormReturnType<Values>,
    field: (name, type = 'input') => form.getInputProps(name as never, { type }),
    submit: form.onSubmit((values) => sending.mutate(values as Values)),
    untried: sending.isIdle,
    sending: sending.isPending,
    problem: sending.isError ? complaints(sending.error, names).rest : undefined,
  };
}
