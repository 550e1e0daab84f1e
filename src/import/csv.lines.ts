/**
 * The physical lines of a file, with their numbers, in constant memory. Records are put together from lines by
 * `csv.reader.ts`; it needs the lines themselves, so that a quote that somebody forgot to close costs one line and
 * not the rest of the file. (csv-parse's own stream swallows everything up to the next quote.)
 */
import { createReadStream } from 'node:fs';

export interface Line {
  number: number;
  text: string;
  /** Why it cannot be read at all. */
  problem?: string;
  /** Bytes of the file up to the end of this line. */
  endByte: number;
}

/** A longer line is not a line of a table; what holds it in memory is bounded. */
const LINE_BYTES_MAX = 64 * 1024;
const NEWLINE = 0x0a;

/** Lines of a UTF-8 file; a byte order mark and `\r` before `\n` are no part of them. */
export class Lines {
  private readonly chunks: AsyncIterator<Buffer>;
  private readonly decoder = new TextDecoder('utf-8', { fatal: true });
  private ready: Line[] = [];
  private rest: Buffer = Buffer.alloc(0);
  private restTooLong = false;
  private number = 0;
  private byte = 0;
  private ended = false;

  constructor(file: string) {
    this.chunks = createReadStream(file)[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  /** The line `ahead` places after the current one, without moving; nothing after the last. */
  async peek(ahead = 0): Promise<Line | undefined> {
    while (this.ready.length <= ahead && !this.ended) await this.readChunk();
    return this.ready[ahead];
  }

  /** Moves on by some lines that were seen. */
  skip(count: number): void {
    this.ready.splice(0, count);
  }

  /** Closes the file before its end. */
  async close(): Promise<void> {
    await this.chunks.return?.();
  }

  private async readChunk(): Promise<void> {
    const { value, done } = await this.chunks.next();
    if (done) {
      this.ended = true;
      if (this.rest.length > 0 || this.restTooLong) this.add(this.rest, this.rest.length);
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
      this.rest = Buffer.alloc(0);
      this.restTooLong = true;
    }
  }

  private add(bytes: Buffer, byteCount: number): void {
    this.number += 1;
    this.byte += byteCount;
    const line = { number: this.number, endByte: this.byte };
    if (this.restTooLong || bytes.length > LINE_BYTES_MAX) {
      this.restTooLong = false;
      this.ready.push({ ...line, text: '', problem: `the line is longer than ${LINE_BYTES_MAX} bytes` });
      return;
    }
    try {
      // The decoder takes the byte order mark off by itself.
      this.ready.push({ ...line, text: this.decoder.decode(bytes).replace(/\r$/, '') });
    } catch {
      this.ready.push({ ...line, text: bytes.toString('latin1'), problem: 'the line is not UTF-8 text' });
    }
  }
}
