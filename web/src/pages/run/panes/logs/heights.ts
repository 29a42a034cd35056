/** How high rows are when some are higher than the usual: only these are remembered, so that a million others cost nothing. */
export class Heights {
  private extras = new Map<number, number>();
  private rows: number[] = []; // with an extra, in order
  private sums: number[] = []; // of the extras up to and with that row
  private stale = false;

  constructor(readonly usual: number) {}

  /** Remember how high a row is. Return whether that is news. */
  set(row: number, height: number): boolean {
    const extra = height - this.usual;
    if ((this.extras.get(row) ?? 0) === extra) return false;
    if (extra === 0) this.extras.delete(row);
    else this.extras.set(row, extra);
    this.stale = true;
    return true;
  }

  height(row: number): number {
    return this.usual + (this.extras.get(row) ?? 0);
  }

  /** Return where a row begins; the row behind the last one begins where all of them end. */
  offset(row: number): number {
    this.refresh();
    let low = 0;
    let high = this.rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.rows[middle] as number) < row) low = middle + 1;
      else high = middle;
    }
    return row * this.usual + (low > 0 ? (this.sums[low - 1] as number) : 0);
  }

  /** Return the row at an offset. */
  rowAt(offset: number, count: number): number {
    let low = 0;
    let high = Math.max(0, count - 1);
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.offset(middle) <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  private refresh() {
    if (!this.stale) return;
    this.stale = false;
    this.rows = [...this.extras.keys()].sort((a, b) => a - b);
    let sum = 0;
    this.sums = this.rows.map((row) => {
      sum += this.extras.get(row) ?? 0;
      return sum;
    });
  }
}
