/** What is in a file, as far as it can be shown. Nothing of it can act: text is text, pages are in a sandbox without scripts. */
import { Button, SegmentedControl } from '@mantine/core';
import { IconDownload } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { lazy, Suspense, useState } from 'react';
import { api } from '@/api';
import { parted, readable } from '@/ui/file-names';
import { Empty, ErrorPanel, Loading } from '@/ui/panels';
import { bytes, Copy } from '@/ui/small';
import { downloadOf, fileAt, type Kind, kindOf, linked, type Place, pageAt } from './places';
import classes from './workspace.module.css';

const Markdown = lazy(() => import('@/ui/markdown'));
const MOST = 512 * 1024; // bytes of a text that are shown
const LARGEST_PAGE = 8 * 1024 * 1024; // bytes; the server gives no larger ones

interface Content {
  kind: Kind;
  text: string;
  size: number;
}

export function Preview({ place, path, empty }: { place: Place; path: string; empty: boolean }) {
  const query = useQuery({
    queryKey: ['file', place.run, place.commit, path],
    enabled: !empty, // there is no first byte to ask for
    staleTime: Number.POSITIVE_INFINITY,
    queryFn: ({ signal }) => read(place, path, signal),
  });
  const [asSource, setAsSource] = useState(false);
  const [, name] = parted(readable(path));
  const content = query.data;
  const rendered = content?.kind === 'markdown' || content?.kind === 'html';
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
              value={asSource ? 'source' : 'page'}
              onChange={(value) => setAsSource(value === 'source')}
              data={[
                { value: 'page', label: 'Page' },
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
      return (
        <div className={classes.picture}>
          <img src={fileAt(place, path)} alt={readable(path)} />
        </div>
      );
    case 'binary':
      return <Empty title="This is not text">It can be downloaded.</Empty>;
    case 'markdown':
      return (
        <Suspense fallback={<Loading rows={4} height={14} />}>
          <div className={classes.markdown}>
            <Markdown
              text={content.text}
              picture={(link) => {
                const target = linked(path, link);
                return target === undefined ? undefined : fileAt(place, target);
              }}
            />
          </div>
        </Suspense>
      );
    case 'html':
      // No script runs in it and it is of no origin; the policy of its answer lets nothing be loaded.
      return (
        <iframe
          className={classes.page}
          title={readable(path)}
          sandbox=""
          referrerPolicy="no-referrer"
          src={pageAt(place, path)}
        />
      );
    default:
      return <Source text={content.text} cut={content.size > MOST} />;
  }
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

/** Read the beginning of a file: the answer says what it is, and how long. */
async function read(place: Place, path: string, signal: AbortSignal): Promise<Content> {
  const { data, response } = await api.readFile({
    path: { run: place.run },
    query: { commit: place.commit, path },
    headers: { range: `bytes=0-${MOST - 1}` },
    parseAs: 'blob',
    signal,
  });
  const blob = data as unknown as Blob;
  const size = Number(
    response.headers.get('Content-Range')?.split('/')[1] ?? response.headers.get('Content-Length') ?? blob.size,
  );
  const found = kindOf(response.headers.get('Content-Type') ?? '', parted(readable(path))[1]);
  const kind = found === 'html' && size > LARGEST_PAGE ? 'text' : found;
  return { kind, size, text: kind === 'image' || kind === 'binary' ? '' : await blob.text() };
}
