/** Time zones by name, as the browser knows them. */
export const ownZone = () => new Intl.DateTimeFormat().resolvedOptions().timeZone;

/** All of them; `chosen` is one of them, too, whether the browser knows it or not. UTC, the server's own, goes first. */
export const zoneNames = (chosen: string): string[] => [
  ...new Set(['UTC', ownZone(), chosen, ...Intl.supportedValuesOf('timeZone')]),
];
