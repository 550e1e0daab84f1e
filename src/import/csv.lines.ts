/**
 * The physical lines of a file, with their numbers, in constant memory. Records are put together from lines by
 * `csv.reader.ts`; it needs the lines themselves, so that a bad record can be named by its line and written as it stands.
 * (csv-parse's own stream swallows everything up to the next quote, however far, and takes `\r` for a line end where it likes.)
 */
import { createReadStream } from 'node:fs';

export interface Line {
  number: number;
  text: string;
  /** Why it cannot be imported, whatever its fields are. */
  problem?: string;
  /** Its text was let go, and quotes with it: nobody can tell whether they are closed. */
  hasLostQuotes?: boolean;
  /** The last one, where the file does not end with a line end: it may have been cut off in it. */
  isUnended?: boolean;
  /** Bytes of the file up to the end of this line. */
  endByte: number;
}

/** A longer line is not a line of a table; what holds it in memory is bounded. */
const LINE_BYTES_MAX = 64 * 1024;
const NEWLINE = 0x0a;
const QUOTE = 0x22;

/** Lines of a UTF-8 file; a byte order mark and `\r` before `\n` are no part of them. */
export class Lines {
  /** Bytes of the file up to the end of the last line that was taken. */
  bytesBehind = 0;
  private readonly chunks: AsyncIterator<Buffer>;
  private readonly decoder = new TextDecoder('utf-8', { fatal: true });
  private ready: Line[] = [];
  /** Place of the next one among these; all are let go with the next chunk. */
  private at = 0;
  private rest: Buffer = Buffer.alloc(0);
  private restTooLong = false;
  private restHasLostQuotes = false;
  private number = 0;
  private byte = 0;
  private ended = false;

  constructor(file: string) {
    this.chunks = createReadStream(file)[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  /** The next line; nothing after the last. */
  async next(): Promise<Line | undefined> {
    while (this.at === this.ready.length && !this.ended) await this.readChunk();
    const line = this.ready[this.at];
    if (line) {
      this.at += 1;
      this.bytesBehind = line.endByte;
    }
    return line;
  }

  /** Closes the file before its end. */
  async close(): Promise<void> {
    await this.chunks.return?.();
  }

  private async readChunk(): Promise<void> {
    this.ready = [];
    this.at = 0;
    const { value, done } = await this.chunks.next();
    if (done) {
      this.ended = true;
      if (this.rest.length > 0 || this.restTooLong) this.add(this.rest, this.rest.length, true);
      return;
    }
    let from = 0;
    for (let end = value.indexOf(NEWLINE); end >= 0; end = value.indexOf(NEWLINE, from)) {
      const piece = value.subarray(from, end);
      this.add(this.rest.length > 0 ? Buffer.concat([this.rest, piece]) : piece, this.rest.length + piece.length + 1);
      this.rest = Buffer.alloc(0);
      from = end + 1;
    }
    this.rest = Buffer.concat([this.rest, value.subarray(from)]);
    if (this.rest.length > LINE_BYTES_MAX) {
      this.byte += this.rest.length;
      this.restTooLong = true;
      this.restHasLostQuotes ||= this.rest.includes(QUOTE);
      this.rest = Buffer.alloc(0);
    }
  }

  private add(bytes: Buffer, byteCount: number, isUnended = false): void {
    this.number += 1;
    this.byte += byteCount;
    const line = { number: this.number, endByte: this.byte, isUnended };
    if (this.restTooLong || bytes.length > LINE_BYTES_MAX) {
      const hasLostQuotes = this.restHasLostQuotes || bytes.includes(QUOTE);
      this.restTooLong = this.restHasLostQuotes = false;
      this.ready.push({ ...line, text: '', problem: `the line is longer than ${LINE_BYTES_MAX} bytes`, hasLostQuotes });
      return;
    }
    const { text, problem } = this.decode(bytes);
    const withoutEnd = text.replace(/\r$/, '');
    // Elsewhere it is a line end to some programs and none to others: one row or two, and nobody can tell which.
    const bareReturn = withoutEnd.includes('\r') ? 'a carriage return (CR) without a line feed is in it' : undefined;
    this.ready.push({ ...line, text: withoutEnd, problem: problem ?? bareReturn });
  }

  private decode(bytes: Buffer): { text: string; problem?: string } {
    try {
      // The decoder takes the byte order mark off by itself.
      return { text: this.decoder.decode(bytes) };
    } catch {
      return { text: bytes.toString('latin1'), problem: 'the line is not UTF-8 text' };
    }
  }
}
