/**
 * Records of a CSV file: headings once, then each row as a movement or as a record with the reason against it.
 *
 * What stands in quotes is text that anybody may have written, a payment's message for one, and it may look like a row. So a
 * record is taken or rejected as a whole, with all its lines; and where quotes do not fit together, the rest of the file is
 * rejected, as any line of it may be such text. To go on with the next line would lose less of a file with a quote too
 * many, and would post what is in the message. To go on after the next quote is no better: it may be one that opens.
 */
import { parse } from 'csv-parse/sync';
import { Lines, type Line } from './csv.lines.js';
import { columnsOf, readMovement, type Columns, type Movement } from './movement.js';

/** A record that cannot be imported, as it stands in the file. */
export interface BadLine {
  /** Its first. */
  line: number;
  reason: string;
  fields: string[];
}
export type Row = { movement: Movement } | { bad: BadLine };

export interface CsvOptions {
  file: string;
  delimiter: string;
  currency: string;
  /** Our column names by the headings that the file uses for them. */
  map: ReadonlyMap<string, string>;
}

interface CsvRecord {
  fields: string[];
  /** As they stand in the file. */
  lines: Line[];
  /** Why it is bad, whatever its fields are. */
  problem?: string;
  /** Its quotes do not fit together: what comes after it may be text of it. */
  isOpen?: boolean;
}

/** A field in quotes may span lines. Past so many, or so many characters, the quote was never meant to; a record is held in memory. */
const RECORD_LINES_MAX = 10_000;
const RECORD_LENGTH_MAX = 1024 * 1024;

export class CsvReader {
  headings: string[] = [];
  hasBalanceAfter = false;
  private columns: Columns;

  private constructor(
    private readonly lines: Lines,
    private readonly options: CsvOptions,
  ) {}

  /**
   * Opens a file and reads its headings.
   * @throws {Error} saying what is wrong with them, and how `--map` or `--delimiter` mends it.
   */
  static async open(options: CsvOptions): Promise<CsvReader> {
    const reader = new CsvReader(new Lines(options.file), options);
    try {
      await reader.readHeadings();
      return reader;
    } catch (error) {
      await reader.close();
      throw error;
    }
  }

  /** Bytes of the file that are behind us. */
  get bytesRead(): number {
    return this.lines.bytesBehind;
  }

  /** The rows in file order. Blank lines are none. */
  async *rows(): AsyncGenerator<Row> {
    for (let line = await this.nextLine(); line; line = await this.nextLine()) {
      const record = await this.readRecord(line);
      if (record.isOpen) return yield* this.rejectRest(record);
      yield this.rowOf(record, line.number);
    }
  }

  /** Closes the file before its end. */
  close(): Promise<void> {
    return this.lines.close();
  }

  private async readHeadings(): Promise<void> {
    const line = await this.nextLine();
    if (!line) throw new Error('The file is empty: its first line must name the columns.');
    const { fields, problem } = await this.readRecord(line);
    if (problem) {
      throw new Error(
        `The headings cannot be read: ${problem}. The file must be UTF-8 text, and its line ends LF or CRLF.`,
      );
    }
    this.headings = fields;
    this.columns = columnsOf(fields, this.options.map, this.options.delimiter);
    this.hasBalanceAfter = this.columns.balance_after !== undefined;
  }

  /** The line that the next record begins on, behind blank ones. */
  private async nextLine(): Promise<Line | undefined> {
    let line = await this.lines.next();
    while (line && isBlank(line)) line = await this.lines.next();
    return line;
  }

  private rowOf({ fields, lines, problem }: CsvRecord, line: number): Row {
    const bad = (reason: string): Row => ({ bad: { line, reason, fields } });
    if (problem) return bad(problem);
    if (fields.length !== this.headings.length) {
      return bad(`has ${fields.length} fields, the headings are ${this.headings.length}`);
    }
    if (lines.at(-1)!.isUnended && this.columns.amount === fields.length - 1) {
      return bad(
        'the file ends with its amount and no line end, and may have been cut off there: if it is whole, add one',
      );
    }
    const movement = readMovement(fields, this.columns, line, this.options.currency);
    return typeof movement === 'string' ? bad(movement) : { movement };
  }

  /** All lines from those of an open record on as bad. Each is one field, so that the file of rejects, imported as it is, posts none of it either. */
  private async *rejectRest({ lines, problem }: CsvRecord): AsyncGenerator<Row> {
    const [first, ...others] = lines as [Line, ...Line[]];
    const bad = ({ number, text }: Line, reason: string): Row => ({ bad: { line: number, reason, fields: [text] } });
    yield bad(first, `${problem}; all from here on may be text of it and is left out`);
    const reason = `left out for the quotes of line ${first.number}`;
    for (const line of others) yield bad(line, reason);
    for (let line = await this.lines.next(); line; line = await this.lines.next()) yield bad(line, reason);
  }

  /** The record that begins with a line. */
  private async readRecord(first: Line): Promise<CsvRecord> {
    const { delimiter } = this.options;
    let { text, problem } = first;
    const lines = [first];
    const open = (why: string) => ({ fields: [], lines, problem: why, isOpen: true });
    if (first.hasLostQuotes) return open(`${problem}, and there are quotes in it`);
    // Nearly every line of a bank's file is of this kind, and 30 times as fast to read.
    if (!text.includes('"')) {
      return { fields: problem ? [text] : text.split(delimiter).map((field) => field.trim()), lines, problem };
    }
    let isOpen = hasOddQuotes(text);
    while (isOpen) {
      const next = await this.lines.next();
      if (!next) return open('a quote is opened and not closed');
      lines.push(next);
      if (next.hasLostQuotes || lines.length > RECORD_LINES_MAX || text.length > RECORD_LENGTH_MAX) {
        return open(
          `a quote is opened and not closed within ${RECORD_LINES_MAX} lines and ${RECORD_LENGTH_MAX} characters`,
        );
      }
      text += `\n${next.text}`;
      problem ??= next.problem;
      if (hasOddQuotes(next.text)) isOpen = false;
    }
    try {
      // To quotes a bare `\r` is a line end. To the rest it is the problem of its line.
      const records: string[][] = parse(text.replaceAll('\r', '\n'), {
        delimiter,
        record_delimiter: '\n',
        trim: true,
        relax_column_count: true,
      });
      return { fields: problem ? [text] : records[0]!, lines, problem };
    } catch {
      const misplaced = 'a quote stands where none may be';
      // `John "Jack" Smith`, in a line of its own: nobody takes such quotes for open.
      const isHarmless = lines.length === 1 && !problem && !text.split(delimiter).some((field) => /^\s*"/.test(field));
      return isHarmless ? { fields: [text], lines, problem: misplaced } : open(misplaced);
    }
  }
}

function isBlank({ text, problem }: Line): boolean {
  return !problem && text.trim() === '';
}

/** A quote within quotes is written twice, so where they are even all are closed. */
function hasOddQuotes(text: string): boolean {
  return text.split('"').length % 2 === 0;
}
