/** Markdown of a step, as elements: HTML in it is shown as text, pictures are not loaded, links lead away openly. */
import Markdown, { type Components } from 'react-markdown';
import remarkGfm from 'remark-gfm';
import classes from './overview.module.css';

const COMPONENTS: Components = {
  a: ({ href, children }) => (
    <a href={href} target="_blank" rel="noopener noreferrer nofollow" title={href}>
      {children}
    </a>
  ),
  img: ({ alt, src }) => (
    <span className={classes.picture} title={typeof src === 'string' ? src : undefined}>
      picture{alt ? `: ${alt}` : ''}
    </span>
  ),
  table: ({ children }) => (
    <div className={classes.wide}>
      <table>{children}</table>
    </div>
  ),
  input: ({ checked }) => <input type="checkbox" checked={checked === true} disabled aria-label="Task" />,
};

export default function StepMarkdown({ text }: { text: string }) {
  return (
    <div className={classes.markdown}>
      <Markdown remarkPlugins={[remarkGfm]} components={COMPONENTS}>
        {text}
      </Markdown>
    </div>
  );
}
