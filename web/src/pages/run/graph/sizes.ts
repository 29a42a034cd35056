/** How large steps are drawn, and where the instances of a matrix stand in their frame. */
import type { Point, Size } from './layout';
import { instanceName, type Unit } from './model';

const GAP = 6;
const FRAME = { side: 10, top: 30, bottom: 10 };
const MOST_ROWS = 6;

/** Room for the longest name that is shown, within limits: the same for all steps, so that columns stay columns. */
export function widthFor(units: Unit[]): number {
  const lengths = units.flatMap(({ members }) =>
    members.length > 1 ? members.map((step) => instanceName(step).length + 5) : members.map(({ name }) => name.length),
  );
  return Math.round(Math.min(224, Math.max(150, 100 + 7.4 * Math.max(0, ...lengths))));
}

export interface UnitSize extends Size {
  /** Places of the members, from the corner of the unit. */
  members: (Point & Size)[];
}

export function unitSize(unit: Unit, room: number): UnitSize {
  if (unit.members.length === 1) {
    const size = { width: room, height: 50 };
    return { ...size, members: [{ x: 0, y: 0, ...size }] };
  }
  const [width, height] = [room - 2 * FRAME.side, 36];
  const columns = Math.ceil(unit.members.length / MOST_ROWS);
  const rows = Math.ceil(unit.members.length / columns);
  const members = unit.members.map((_, place) => ({
    x: FRAME.side + Math.floor(place / rows) * (width + GAP),
    y: FRAME.top + (place % rows) * (height + GAP),
    width,
    height,
  }));
  return {
    width: 2 * FRAME.side + columns * (width + GAP) - GAP,
    height: FRAME.top + FRAME.bottom + rows * (height + GAP) - GAP,
    members,
  };
}
