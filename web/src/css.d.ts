import 'react';

declare module 'react' {
  // Custom properties carry figures into style sheets.
  interface CSSProperties {
    [property: `--${string}`]: string | number | undefined;
  }
}
