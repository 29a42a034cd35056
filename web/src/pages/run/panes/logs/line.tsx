/** One line of a log: number, time, service, text. What a program printed becomes text nodes, nothing else. */
import { IconChevronDown, IconChevronRight } from '@tabler/icons-react';
import { type MouseEvent, memo, type ReactNode } from 'react';
import { type Piece, parse } from './ansi';
import classes from './line.module.css';
import type { LogLine } from './store';
import { endsGroup, groupName, places, withLinks } from './text';
import { clock, since, type Times } from './times';

const SHOWN_OF_CUT = 1000; // characters of a line that ends at the edge; more than any screen is wide

export interface LineProps {
  row: number;
  number: number;
  line: LogLine | null | undefined;
  marked: boolean;
  /** The match or error that was gone to last. */
  current: boolean;
  search: string;
  times: Times;
  /** Seconds since 1970 that times count from. */
  begin: number;
  wrap: boolean;
  /** Its place among the services, for its colour; undefined: there is only one. */
  service: number | undefined;
  /** Of a line that opens a group: whether the group is folded. */
  folded: boolean | undefined;
  address: string;
  onMark: (number: number, to: boolean) => void;
  onFold: (number: number) => void;
}

const COLOURS = 8;

export const Line = memo(function Line(props: LineProps) {
  const { row, number, line, marked, current, wrap, address, onMark } = props;
  const mark = (event: MouseEvent) => {
    if (event.metaKey || event.ctrlKey || event.button !== 0) return; // a link as all are
    event.preventDefault();
    onMark(number, event.shiftKey);
  };
  return (
    <div
      className={classes.line}
      data-row={row}
      data-marked={marked || undefined}
      data-current={current || undefined}
      data-stderr={line?.stderr || undefined}
      data-wrap={wrap || undefined}
    >
      {/* biome-ignore lint/a11y/useAnchorContent: its number is content of the style sheet, so that it is not copied */}
      <a
        className={classes.number}
        href={address}
        tabIndex={-1}
        onClick={mark}
        data-number={number}
        aria-label={`Line ${number}`}
      />
      {line ? <Content {...props} line={line} /> : <Absent gone={line === null} />}
    </div>
  );
});

function Absent({ gone }: { gone: boolean }) {
  if (gone) return <span className={classes.gap}>this line is missing</span>;
  return <span className={classes.waiting} aria-hidden />;
}

function Content({ line, times, begin, service, folded, search, wrap, number, onFold }: LineProps & { line: LogLine }) {
  const told = line.service === '' ? 'notice' : undefined; // by us, not by the step
  const name = groupName(line.text);
  return (
    <>
      {times !== 'off' && (
        <time className={classes.time} data-time={times === 'clock' ? clock(line.time) : since(line.time - begin)} />
      )}
      {service !== undefined && (
        <span
          className={classes.service}
          data-service={line.service}
          style={{ color: `var(--service-${service % COLOURS})` }}
          title={line.service}
        />
      )}
      <span className={classes.text} data-told={told}>
        {name !== undefined && folded !== undefined ? (
          <button type="button" className={classes.group} aria-expanded={!folded} onClick={() => onFold(number)}>
            {folded ? <IconChevronRight size={14} aria-hidden /> : <IconChevronDown size={14} aria-hidden />}
            {name}
          </button>
        ) : endsGroup(line.text) ? (
          <span className={classes.end} />
        ) : (
          textOf(wrap ? line.text : line.text.slice(0, SHOWN_OF_CUT), search)
        )}
      </span>
    </>
  );
}

/** Colours, links and matches of a line. Matches are looked for in the text as it is read, and may have several colours. */
function textOf(text: string, search: string): ReactNode {
  const pieces = parse(text);
  const found = search === '' ? [] : places(pieces.map((piece) => piece.text).join(''), search);
  let at = 0;
  return pieces.map((piece, index) => {
    const from = at;
    at += piece.text.length;
    // biome-ignore lint/suspicious/noArrayIndexKey: pieces of a line have no other names, and stay in their order
    return <PieceOfLine key={index} piece={piece} from={from} found={found} />;
  });
}

function PieceOfLine({ piece, from, found }: { piece: Piece; from: number; found: [number, number][] }) {
  let at = from;
  const parts = withLinks(piece.text).map((part) => {
    const begin = at;
    at += part.text.length;
    const text = withMatches(part.text, begin, found);
    if (part.link === undefined) return text;
    return (
      <a key={begin} href={part.link} target="_blank" rel="noopener noreferrer">
        {text}
      </a>
    );
  });
  return piece.style ? <span style={piece.style}>{parts}</span> : parts;
}

function withMatches(text: string, from: number, found: [number, number][]): ReactNode {
  const here = found.filter(([begin, end]) => begin < from + text.length && end > from);
  if (here.length === 0) return text;
  const parts: ReactNode[] = [];
  let at = 0;
  for (const [begin, end] of here) {
    const [start, stop] = [Math.max(0, begin - from), Math.min(text.length, end - from)];
    parts.push(text.slice(at, start), <mark key={start}>{text.slice(start, stop)}</mark>);
    at = stop;
  }
  parts.push(text.slice(at));
  return parts;
}
