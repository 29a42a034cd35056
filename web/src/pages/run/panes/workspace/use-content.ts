/** The beginning of a file of a workspace: the answer says what it is, and how long. */
import { useQuery } from '@tanstack/react-query';
import { api } from '@/api';
import { parted, readable } from '@/ui/file-names';
import { type Kind, kindOf, type Place } from './places';

export const MOST = 512 * 1024; // bytes of a text that are shown
const LARGEST_PAGE = 8 * 1024 * 1024; // bytes; the server gives no larger ones

export interface Content {
  kind: Kind;
  text: string;
  size: number;
}

export function useContent(place: Place, path: string, enabled = true) {
  return useQuery({
    queryKey: ['file', place.run, place.commit, path],
    enabled,
    staleTime: Number.POSITIVE_INFINITY,
    queryFn: ({ signal }) => read(place, path, signal),
  });
}

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
  const kind = shownAs(kindOf(response.headers.get('Content-Type') ?? '', parted(readable(path))[1]), size);
  return { kind, size, text: kind === 'image' || kind === 'binary' ? '' : await blob.text() };
}

/** What is too large to be shown as what it is is text, the beginning of which is shown. */
function shownAs(kind: Kind, size: number): Kind {
  return (kind === 'html' && size > LARGEST_PAGE) || (kind === 'svg' && size > MOST) ? 'text' : kind;
}
