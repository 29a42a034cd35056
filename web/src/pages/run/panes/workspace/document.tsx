/** A Markdown file of a workspace: what it links to in the workspace opens beside it, pictures that are there are shown. */
import { Link } from '@tanstack/react-router';
import Markdown from '@/ui/markdown';
import { fileAt, kindOf, linked, type Place, pictureOf } from './places';
import { useContent } from './use-content';

export default function Document({ place, path, text }: { place: Place; path: string; text: string }) {
  return (
    <Markdown
      text={text}
      link={(address, words) => {
        const target = linked(path, address);
        if (target === undefined) return undefined;
        return (
          <Link
            from="/projects/$project/runs/$number"
            to="."
            search={(before) => ({ ...before, path: target })}
            resetScroll={false}
          >
            {words}
          </Link>
        );
      }}
      picture={(address, words) => {
        const target = linked(path, address);
        if (target === undefined) return undefined;
        if (kindOf('text/plain', target) === 'svg') return <Drawing place={place} path={target} words={words} />;
        return <img src={fileAt(place, target)} alt={words} loading="lazy" />;
      }}
    />
  );
}

/** The server gives an SVG as text only. */
function Drawing({ place, path, words }: { place: Place; path: string; words: string }) {
  const { data } = useContent(place, path);
  return data?.kind === 'svg' ? <img src={pictureOf(data.text)} alt={words} /> : <span>{words}</span>;
}
