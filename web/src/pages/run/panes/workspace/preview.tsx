/** What is in a file, as far as it can be shown. Nothing of it can act: text is text, pages are in a sandbox without scripts. */
import { Button, SegmentedControl } from '@mantine/core';
import { IconDownload } from '@tabler/icons-react';
import { lazy, Suspense, useState } from 'react';
import { parted, readable } from '@/ui/file-names';
import { Empty, ErrorPanel, Loading } from '@/ui/panels';
import { bytes, Copy } from '@/ui/small';
import { downloadOf, fileAt, type Kind, type Place, pageAt, pictureOf } from './places';
import { type Content, MOST, useContent } from './use-content';
import classes from './workspace.module.css';

const Document = lazy(() => import('./document'));
const RENDERED: Partial<Record<Kind, string>> = { markdown: 'Page', html: 'Page', svg: 'Picture' };

export function Preview({ place, path, empty }: { place: Place; path: string; empty: boolean }) {
  const query = useContent(place, path, !empty); // of an empty one there is no first byte to ask for
  const [asSource, setAsSource] = useState(false);
  const [, name] = parted(readable(path));
  const content = query.data;
  const rendered = content && RENDERED[content.kind];
  return (
    <section className={classes.preview} aria-label={name}>
      <header className={classes.head}>
        <code className={classes.title}>{readable(path)}</code>
        <Copy value={readable(path)} label="Copy the path" />
        {content && <span className={classes.size}>{bytes(content.size)}</span>}
        <span className={classes.actions}>
          {rendered && (
            <SegmentedControl
              size="xs"
              aria-label="How the file is shown"
              value={asSource ? 'source' : 'rendered'}
              onChange={(value) => setAsSource(value === 'source')}
              data={[
                { value: 'rendered', label: rendered },
                { value: 'source', label: 'Source' },
              ]}
            />
          )}
          <Button
            component="a"
            href={downloadOf(place, path)}
            download
            variant="default"
            leftSection={<IconDownload size={14} aria-hidden />}
          >
            Download
          </Button>
        </span>
      </header>
      {query.isError && <ErrorPanel error={query.error} retry={() => void query.refetch()} />}
      {empty && <p className={classes.none}>The file is empty.</p>}
      {query.isLoading && <Loading rows={4} height={14} />}
      {content && <Shown place={place} path={path} content={asSource ? { ...content, kind: 'text' } : content} />}
    </section>
  );
}

function Shown({ place, path, content }: { place: Place; path: string; content: Content }) {
  switch (content.kind) {
    case 'image':
      return <Picture src={fileAt(place, path)} path={path} />;
    case 'svg':
      return <Picture src={pictureOf(content.text)} path={path} />;
    case 'binary':
      return <Empty title="This is not text">It can be downloaded.</Empty>;
    case 'markdown':
      return (
        <Suspense fallback={<Loading rows={4} height={14} />}>
          <div className={classes.markdown}>
            <Document place={place} path={path} text={content.text} />
          </div>
        </Suspense>
      );
    case 'html':
      return <HtmlPage place={place} path={path} />;
    default:
      return <Source text={content.text} cut={content.size > MOST} />;
  }
}

function Picture({ src, path }: { src: string; path: string }) {
  const [broken, setBroken] = useState(false);
  if (broken) return <Empty title="This is no picture">It could not be shown as what its name says.</Empty>;
  return (
    <div className={classes.picture}>
      <img src={src} alt={readable(path)} onError={() => setBroken(true)} />
    </div>
  );
}

/** No script runs in it and it is of no origin; the policy of its answer lets nothing be loaded. */
function HtmlPage({ place, path }: { place: Place; path: string }) {
  return (
    <>
      <iframe
        className={classes.page}
        title={readable(path)}
        sandbox=""
        referrerPolicy="no-referrer"
        src={pageAt(place, path)}
      />
      <p className={classes.none}>
        Links and scripts in it do not work here: nothing of a workspace may act. Download it for them.
      </p>
    </>
  );
}

function Source({ text, cut }: { text: string; cut: boolean }) {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return (
    <>
      <div className={classes.source}>
        <pre aria-hidden className={classes.numbers}>
          {lines.map((_, at) => at + 1).join('\n')}
        </pre>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a part that scrolls must be reached by keyboard */}
        <pre className={classes.text} tabIndex={0}>
          {text}
        </pre>
      </div>
      {cut && <p className={classes.none}>Only the first {bytes(MOST)} are shown.</p>}
    </>
  );
}
