/** Markdown of others as elements: no HTML of it, no address but of the web. Load it lazily, it is large. */
import type { ReactNode } from 'react';
import ReactMarkdown, { type Components } from 'react-markdown';
import remarkGfm from 'remark-gfm';
import classes from './markdown.module.css';

interface MarkdownProps {
  text: string;
  /** Return a link to what an address means on this server; undefined: nothing. Without, only addresses of the web lead anywhere. */
  link?: (address: string, words: ReactNode) => ReactNode;
  /** Return the picture that an address means on this server; undefined: none. Others are shown as links. */
  picture?: (address: string, words: string) => ReactNode;
}

const isOfWeb = (address: string) => /^https?:\/\//i.test(address);

export default function Markdown({ text, link, picture }: MarkdownProps) {
  const leading = (address: string, words: ReactNode) =>
    isOfWeb(address) ? (
      <a href={address} target="_blank" rel="noopener noreferrer">
        {words}
      </a>
    ) : (
      (link?.(address, words) ?? <span>{words}</span>)
    );
  const components: Components = {
    a: ({ href = '', children }) => leading(href, children),
    input: ({ checked }) => <input type="checkbox" checked={checked === true} disabled aria-label="Done" />,
    img: ({ src, alt = '' }) => {
      const address = typeof src === 'string' ? src : '';
      return picture?.(address, alt) ?? leading(address, alt || address);
    },
  };
  return (
    <div className={classes.markdown}>
      <ReactMarkdown remarkPlugins={[remarkGfm]} components={components} skipHtml>
        {text}
      </ReactMarkdown>
    </div>
  );
}
