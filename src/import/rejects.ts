/** Lines that did not go in: the first few are printed, all of them can go into a file that can be mended and imported. */
import { closeSync, openSync, writeSync } from 'node:fs';

/** Enough to see a pattern without scrolling the summary away. */
const PRINTED_MAX = 20;

export class Rejects {
  private readonly first: Array<{ line: number; reason: string }> = [];
  private count = 0;
  private readonly file?: number;

  /**
   * @param path where all of them go, beside the reason; left out, only the first are kept.
   * @param headings of the imported file.
   */
  constructor(
    path: string | undefined,
    private readonly delimiter: string,
    headings: string[],
  ) {
    if (path === undefined) return;
    this.file = openSync(path, 'w');
    this.write([freeHeading('line', headings), freeHeading('reason', headings), ...headings]);
  }

  add(line: number, reason: string, fields: string[]): void {
    this.count += 1;
    if (this.first.length < PRINTED_MAX) this.first.push({ line, reason });
    this.write([String(line), reason, ...fields]);
  }

  /** The list for people: line number and reason, in file order. */
  listing(): string[] {
    const lines = this.first.toSorted((a, b) => a.line - b.line).map(({ line, reason }) => `line ${line}: ${reason}`);
    const more = this.count - lines.length;
    return more > 0 ? [...lines, `… and ${more.toLocaleString('en-US')} more`] : lines;
  }

  close(): void {
    if (this.file !== undefined) closeSync(this.file);
  }

  private write(fields: string[]): void {
    if (this.file !== undefined) writeSync(this.file, csvLine(fields, this.delimiter));
  }
}

/** A heading that the file does not have itself: were it there twice, `--map` could not name the one that is meant. */
function freeHeading(name: string, headings: string[]): string {
  const taken = new Set(headings.map((heading) => heading.trim().toLowerCase()));
  let free = name;
  for (let number = 2; taken.has(free); number++) free = `${name} ${number}`;
  return free;
}

/** A line of CSV; fields are quoted where they must be. */
export function csvLine(fields: readonly string[], delimiter = ','): string {
  const quoted = fields.map((field) =>
    /["\r\n]/.test(field) || field.includes(delimiter) || field !== field.trim()
      ? `"${field.replaceAll('"', '""')}"`
      : field,
  );
  return `${quoted.join(delimiter)}\n`;
}
