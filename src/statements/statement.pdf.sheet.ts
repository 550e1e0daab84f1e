/** The pages of a PDF statement: head, table, footer with "Page x of y". Lengths in points, from the top left. */

import { createRequire } from 'node:module';

const { resolve } = createRequire(import.meta.url);
/** By path and not by registered name: pdfkit reads a font again at each change to a second name for it (5 ms a row). */
export const FONTS = {
  regular: resolve('dejavu-fonts-ttf/ttf/DejaVuSansCondensed.ttf'),
  bold: resolve('dejavu-fonts-ttf/ttf/DejaVuSansCondensed-Bold.ttf'),
};

/** A text, shortened where it is too long; a tail stays whole. */
export type Cell = string | { text: string; tail: string };
type Style = keyof typeof FONTS;

const PAGE = { width: 595.28, height: 841.89, margin: 40 };
const RIGHT = PAGE.width - PAGE.margin;
const ROW_HEIGHT = 15;
const FONT_SIZE = 7.5;
const TABLE_TOP = { first: 208, next: 48 };
const TABLE_BOTTOM = PAGE.height - 56;
const GAP = 6;
const INK = { text: '#1a1a1a', faint: '#666666', line: '#c8c8c8', band: '#f0f2f5' };
const COLUMNS = [
  { title: 'Date', width: 76, align: 'left' },
  { title: 'Description', width: 147, align: 'left' },
  { title: 'Reference', width: 82, align: 'left' },
  { title: 'Credit', width: 68, align: 'right' },
  { title: 'Debit', width: 68, align: 'right' },
  { title: 'Balance', width: 74.28, align: 'right' },
] as const;

/** Rows that fit under the table's own header. */
const rowsFrom = (top: number) => Math.floor((TABLE_BOTTOM - top) / ROW_HEIGHT) - 1;
const ROWS = { first: rowsFrom(TABLE_TOP.first), next: rowsFrom(TABLE_TOP.next) };

/** The pages that so many rows take. */
export function pageCount(rowCount: number): number {
  return 1 + Math.ceil(Math.max(0, rowCount - ROWS.first) / ROWS.next);
}

export class PdfSheet {
  private readonly pages: number;
  private page = 0;
  private rowsLeft = 0;
  private y = 0;
  /** Of a letter in a size of one point. */
  private readonly widths = { regular: new Map<string, number>(), bold: new Map<string, number>() };

  /**
   * @param head labels and values on top of the first page: two columns of four.
   * @param rowCount rows that will be written, exactly.
   */
  constructor(
    private readonly pdf: PDFKit.PDFDocument,
    private readonly footer: string,
    private readonly head: Array<[label: string, value: string]>,
    rowCount: number,
  ) {
    this.pages = pageCount(rowCount);
  }

  /** Whether the next row begins a page. */
  get isFull(): boolean {
    return this.rowsLeft === 0;
  }

  row(cells: Cell[], style: Style = 'regular'): void {
    if (this.isFull) this.nextPage();
    this.cells(cells, style);
    this.y += ROW_HEIGHT;
    this.rowsLeft--;
    this.rule(this.y, INK.line, 0.4);
  }

  private nextPage(): void {
    this.pdf.addPage();
    this.page++;
    const place = this.page === 1 ? 'first' : 'next';
    if (place === 'first') this.drawHead();
    this.write(this.footer, { x: PAGE.margin, y: PAGE.height - 38, width: 400, color: INK.faint });
    const number = `Page ${this.page} of ${this.pages}`;
    this.write(number, { x: RIGHT - 100, y: PAGE.height - 38, width: 100, align: 'right', color: INK.faint });
    this.y = TABLE_TOP[place];
    this.rowsLeft = ROWS[place];
    this.pdf.rect(PAGE.margin, this.y, RIGHT - PAGE.margin, ROW_HEIGHT).fill(INK.band);
    this.cells(
      COLUMNS.map(({ title }) => title),
      'bold',
    );
    this.y += ROW_HEIGHT;
  }

  private drawHead(): void {
    this.write('Statement', { x: PAGE.margin, y: 44, width: 300, style: 'bold', size: 20 });
    this.rule(80, INK.text, 1);
    this.head.forEach(([label, value], i) => {
      const [x, y] = [i < 4 ? PAGE.margin : 352, 96 + (i % 4) * 24];
      const width = i < 4 ? 300 : RIGHT - x;
      this.write(label, { x, y, width, color: INK.faint, size: 7 });
      this.write(value, { x, y: y + 9, width, size: 9.5, style: i < 4 ? 'regular' : 'bold' });
    });
  }

  private cells(cells: Cell[], style: Style): void {
    let x = PAGE.margin;
    COLUMNS.forEach(({ width, align }, i) => {
      const cell = cells[i]!;
      if (cell !== '') this.write(cell, { x: x + GAP / 2, y: this.y + 3.2, width: width - GAP, align, style });
      x += width;
    });
  }

  private rule(y: number, color: string, thickness: number): void {
    this.pdf.moveTo(PAGE.margin, y).lineTo(RIGHT, y).lineWidth(thickness).stroke(color);
  }

  private write(
    cell: Cell,
    place: {
      x: number;
      y: number;
      width: number;
      align?: 'left' | 'right';
      style?: Style;
      size?: number;
      color?: string;
    },
  ): void {
    const { x, y, width, align = 'left', style = 'regular', size = FONT_SIZE, color = INK.text } = place;
    this.pdf.font(FONTS[style]).fontSize(size).fillColor(color);
    const { text, tail } = typeof cell === 'string' ? { text: cell, tail: '' } : cell;
    if (align === 'left') {
      const room = tail === '' ? width : width - this.widthOf(tail, style, size);
      this.pdf.text(this.shortened(text, room, style, size) + tail, x, y, { lineBreak: false });
      return;
    }
    // An amount is never cut: one too long for its column is written smaller.
    const natural = this.widthOf(text, style, size);
    if (natural > width) this.pdf.fontSize((size * width) / natural);
    this.pdf.text(text, x + width - Math.min(natural, width), y, { lineBreak: false });
  }

  /** The text, or as much of it as fits with an ellipsis. */
  private shortened(text: string, width: number, style: Style, size: number): string {
    if (this.widthOf(text, style, size) <= width) return text;
    let room = width - this.widthOf('…', style, size);
    let fitting = '';
    for (const letter of text) {
      room -= this.widthOf(letter, style, size);
      if (room < 0) break;
      fitting += letter;
    }
    return `${fitting.trimEnd()}…`;
  }

  /** The width letter by letter, each measured once; laying a text out twice is half the cost of a statement. */
  private widthOf(text: string, style: Style, size: number): number {
    let width = 0;
    for (const letter of text) {
      let own = this.widths[style].get(letter);
      if (own === undefined) {
        own = this.pdf.font(FONTS[style]).fontSize(100).widthOfString(letter) / 100;
        this.widths[style].set(letter, own);
        this.pdf.fontSize(size);
      }
      width += own;
    }
    return width * size;
  }
}
