/** Where a generic webhook finds things in the bodies it gets, as a text that people write: `name = path`, a line each. */

export type Mapping = {
  inputs?: Record<string, string>;
  branch?: string;
  commit?: string;
};

export const linesOf = (inputs: Record<string, string> | undefined): string =>
  Object.entries(inputs ?? {})
    .map(([name, path]) => `${name} = ${path}`)
    .join('\n');

/** The inputs that lines tell; what is wrong with the first line that tells none. */
export function inputsOf(text: string): Record<string, string> | string {
  const inputs: Record<string, string> = {};
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue;
    const [, name, path] = /^\s*([^=\s]+)\s*=\s*(\S.*?)\s*$/.exec(line) ?? [];
    if (name === undefined || path === undefined) return `“${line.trim()}” is not like name = path.to.value`;
    inputs[name] = path;
  }
  return inputs;
}

/** The mapping as the API takes it; what is empty is left out. */
export function mappingOf(values: { inputs: string; branch: string; commit: string }): Mapping {
  const inputs = inputsOf(values.inputs);
  return {
    ...(typeof inputs === 'object' && Object.keys(inputs).length > 0 ? { inputs } : {}),
    ...(values.branch.trim() ? { branch: values.branch.trim() } : {}),
    ...(values.commit.trim() ? { commit: values.commit.trim() } : {}),
  };
}
