/** Markdown of others as elements: no HTML of it, no address but of the web. Load it lazily, it is large. */
import ReactMarkdown, { type Components } from 'react-markdown';
import remarkGfm from 'remark-gfm';
import classes from './markdown.module.css';

interface MarkdownProps {
  text: string;
  /** Return where a picture that is linked to is on this server; undefined: nowhere. Others are shown as links. */
  picture?: (link: string) => string | undefined;
}

const isOfWeb = (link: string | undefined): link is string => link !== undefined && /^https?:\/\//i.test(link);

export default function Markdown({ text, picture }: MarkdownProps) {
  const components: Components = {
    a: ({ href, children }) =>
      isOfWeb(href) ? (
        <a href={href} target="_blank" rel="noopener noreferrer">
          {children}
        </a>
      ) : (
        <span>{children}</span>
      ),
    input: ({ checked }) => <input type="checkbox" checked={checked === true} disabled aria-label="Done" />,
    img: ({ src, alt }) => {
      const link = typeof src === 'string' ? src : '';
      const own = picture?.(link);
      if (own !== undefined) return <img src={own} alt={alt ?? ''} loading="lazy" />;
      return isOfWeb(link) ? (
        <a href={link} target="_blank" rel="noopener noreferrer">
          {alt || link}
        </a>
      ) : (
        <span>{alt}</span>
      );
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
