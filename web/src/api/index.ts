import './client';

export { asProblem, ProblemError } from './client';
export * from './generated/@tanstack/react-query.gen';
export * as api from './generated/sdk.gen';
export type * from './generated/types.gen';
