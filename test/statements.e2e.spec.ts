import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { spawnSync } from 'node:child_process';
import { request, type IncomingMessage } from 'node:http';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { BalanceBody } from '../src/statements/balance.dto.js';
import type { StatementBody } from '../src/statements/statement.dto.js';
import type { EntryBody } from '../src/statements/statements.dto.js';
import type { SummaryBody, TotalsBody } from '../src/statements/summary.dto.js';
import { expectStatus, type Problem } from './support/client.js';
import { fillWallet } from '../bench/many-entries.js';
import { startService, type Service } from './support/service.js';

const minor = (amount: string) => BigInt(amount.replace('.', ''));
const addsUp = (t: TotalsBody) =>
  expect(minor(t.opening_balance) + minor(t.total_credit) - minor(t.total_debit)).toBe(minor(t.closing_balance));

describe('reading', () => {
  let service: Service;
  beforeAll(async () => void (service = await startService({}, { quiet: true })));
  afterAll(() => service.stop());

  const read = async <Body>(id: string, path: string) =>
    expectStatus(200, await service.api.get<Body>(`/v1/wallets/${id}/${path}`));
  const accept = (id: string, type: string, query = '') =>
    service.api.call<StatementBody & Problem>('GET', `/v1/wallets/${id}/statement?${query}`, undefined, {
      accept: type,
    });

  /** A wallet whose entries were posted at the given times. */
  async function walletPostedAt(entries: Array<{ at: string; amount: number; effective?: string; note?: string }>) {
    const wallet = await service.api.newWallet(undefined, { minimum_balance: '-1000000' });
    for (const { amount, effective, note } of entries) {
      const extra = {
        ...(effective ? { effective_at: effective } : {}),
        ...(note ? { description: note, reference: note } : {}),
      };
      const post =
        amount > 0 ? service.api.credit(wallet.id, amount, extra) : service.api.debit(wallet.id, -amount, extra);
      expectStatus(201, await post);
    }
    await service.database.query('ALTER TABLE entries DISABLE TRIGGER USER');
    await service.database.query(
      `UPDATE entries e SET created_at = x.at, effective_at = nullif(x.effective, x.at)
         FROM unnest($2::timestamptz[], $3::timestamptz[]) WITH ORDINALITY AS x (at, effective, seq)
        WHERE e.wallet_id = $1 AND e.seq = x.seq`,
      [wallet.id, entries.map(({ at }) => at), entries.map(({ at, effective }) => effective ?? at)],
    );
    return wallet.id;
  }

  it('tells the balance at an instant, included, and now with what is held', async () => {
    const id = await walletPostedAt([
      { at: '2026-01-01T00:00:00Z', amount: 100 },
      { at: '2026-01-02T00:00:00Z', amount: -30 },
    ]);
    const at = async (instant: string) => {
      const { balance, seq } = await read<BalanceBody>(id, `balance?at=${instant}`);
      return [balance, seq];
    };
    expect(await at('2025-12-31T23:59:59.999Z')).toEqual(['0.00', 0]);
    expect(await at('2026-01-01T00:00:00Z')).toEqual(['100.00', 1]);
    expect(await at('2026-01-02T05:30:00%2B05:30')).toEqual(['70.00', 2]);
    expect(await at('2199-01-01T00:00:00Z')).toEqual(['70.00', 2]);
    expect(await read<BalanceBody>(id, 'balance')).toMatchObject({
      balance: '70.00',
      held: '0.00',
      available: '70.00',
      seq: 2,
    });
  });

  it('counts by effective time what was dated back and ahead', async () => {
    const id = await walletPostedAt([
      { at: '2026-01-10T00:00:00Z', amount: 100 },
      { at: '2026-01-11T00:00:00Z', amount: 5, effective: '2026-01-01T00:00:00Z' },
      { at: '2026-01-12T00:00:00Z', amount: -20, effective: '2190-01-01T00:00:00Z' },
    ]);
    const at = async (instant: string) =>
      (await read<BalanceBody>(id, `balance?basis=effective&at=${instant}`)).balance;
    expect(await at('2026-01-05T00:00:00Z')).toBe('5.00');
    expect(await at('2026-01-20T00:00:00Z')).toBe('105.00');
    expect(await at('2190-01-01T00:00:00Z')).toBe('85.00');
    const summary = await read<SummaryBody>(id, 'summary?basis=effective&start_date=2026-01-02&end_date=2026-01-31');
    expect(summary).toMatchObject({
      opening_balance: '5.00',
      total_credit: '100.00',
      total_debit: '0.00',
      entry_count: 1,
    });
  });

  it('begins days at local midnight, summer time included', async () => {
    const id = await walletPostedAt([
      { at: '2026-03-08T04:59:59Z', amount: 1 },
      { at: '2026-03-08T05:00:00Z', amount: 2 },
      { at: '2026-03-09T03:59:59Z', amount: 4 },
      { at: '2026-03-09T04:00:00Z', amount: 8 },
      { at: '2026-11-01T04:00:00Z', amount: 16 },
      { at: '2026-11-01T05:30:00Z', amount: 32 },
    ]);
    const credit = async (day: string, zone: string) =>
      (await read<SummaryBody>(id, `summary?start_date=${day}&end_date=${day}&time_zone=${zone}`)).total_credit;
    expect(await credit('2026-03-08', 'America/New_York')).toBe('6.00');
    expect(await credit('2026-03-08', 'UTC')).toBe('3.00');
    expect(await credit('2026-03-08', 'Asia/Kolkata')).toBe('3.00');
    expect(await credit('2026-03-09', 'Asia/Kolkata')).toBe('12.00');
    // Havana's clocks go back over midnight: the day begins at the first of the two.
    expect(await credit('2026-11-01', 'America/Havana')).toBe('48.00');
  });

  it('parts a range into days, weeks and months that chain', async () => {
    const at = (n: number) => new Date(Date.UTC(2026, 0, 1 + n * 5)).toISOString();
    const id = await walletPostedAt(Array.from({ length: 12 }, (_, n) => ({ at: at(n), amount: n % 3 ? 10 + n : -7 })));
    for (const [interval, count] of [
      ['day', 45],
      ['week', 8],
      ['month', 2],
    ] as const) {
      for (const basis of ['posted', 'effective']) {
        const query = `summary?start_date=2026-01-10&end_date=2026-02-23&interval=${interval}&basis=${basis}`;
        const summary = await read<SummaryBody>(id, query);
        const parts = summary.intervals!;
        expect([interval, parts.length]).toEqual([interval, count]);
        [summary, ...parts].forEach(addsUp);
        parts.slice(1).forEach((part, i) => expect(part.opening_balance).toBe(parts[i]!.closing_balance));
        expect(parts[0]).toMatchObject({ start_date: '2026-01-10', opening_balance: summary.opening_balance });
        expect(parts.at(-1)).toMatchObject({ end_date: '2026-02-23', closing_balance: summary.closing_balance });
        expect(parts.reduce((sum, part) => sum + part.entry_count, 0)).toBe(summary.entry_count);
      }
    }
  });

  it('equals a plain recomputation, by either time, whatever was posted', async () => {
    const day = fc.integer({ min: 1, max: 28 });
    const entry = fc.record({
      amount: fc.integer({ min: -50, max: 50 }).filter(Boolean),
      day,
      effective: fc.option(day),
    });
    const instant = (n: number) => `2026-05-${String(n).padStart(2, '0')}T00:00:00.000Z`;
    const property = fc.asyncProperty(fc.array(entry, { maxLength: 8 }), day, day, async (random, a, b) => {
      const rows = random
        .sort((x, y) => x.day - y.day)
        .map((row) => ({ ...row, at: instant(row.day), effective: instant(row.effective ?? row.day) }));
      const id = await walletPostedAt(rows);
      const [from, to] = [Math.min(a, b), Math.max(a, b)];
      for (const basis of ['posted', 'effective'] as const) {
        const sum = (keep: (time: string, amount: number) => boolean) =>
          rows.reduce(
            (total, row) => total + (keep(basis === 'posted' ? row.at : row.effective, row.amount) ? row.amount : 0),
            0,
          );
        const { balance } = await read<BalanceBody>(id, `balance?basis=${basis}&at=${instant(a)}`);
        expect(Number(balance)).toBe(sum((time) => time <= instant(a)));
        const days = `start_date=${instant(from).slice(0, 10)}&end_date=${instant(to).slice(0, 10)}`;
        const summary = await read<SummaryBody>(id, `summary?basis=${basis}&${days}`);
        const within = (time: string) => time >= instant(from) && time < instant(to + 1);
        expect(Number(summary.opening_balance)).toBe(sum((time) => time < instant(from)));
        expect(Number(summary.total_credit)).toBe(sum((time, amount) => within(time) && amount > 0));
        expect(-Number(summary.total_debit) + 0).toBe(sum((time, amount) => within(time) && amount < 0) + 0);
        addsUp(summary);
      }
    });
    await fc.assert(property, { numRuns: 15 });
  });

  it('writes statements that add up as JSON, CSV and PDF, with formulas made harmless', async () => {
    const id = await walletPostedAt([
      { at: '2026-01-01T00:00:00Z', amount: 100 },
      ...Array.from({ length: 60 }, (_, n) => ({
        at: '2026-01-05T00:00:00Z',
        amount: n % 2 ? 3 : -1,
        note: `a "b", ${n}`,
      })),
      { at: '2026-01-06T00:00:00Z', amount: -2, note: '=1+1' },
      { at: '2026-02-01T00:00:00Z', amount: 50 },
    ]);
    const query = 'start_date=2026-01-02&end_date=2026-01-31';
    for (const type of ['*/*', 'application/json', 'text/html, application/*;q=0.9']) {
      const { body } = await accept(id, type, query);
      addsUp(body);
      expect(body).toMatchObject({ opening_balance: '100.00', closing_balance: '158.00', entry_count: 61 });
      expect(body.lines.map(({ seq }) => seq)).toEqual(Array.from({ length: 61 }, (_, i) => i + 2));
      expect(body.lines.reduce((sum, { amount }) => sum + minor(amount), minor('100.00'))).toBe(minor('158.00'));
    }
    const csv = await accept(id, 'text/csv', query);
    expect(csv.headers.get('content-disposition')).toContain(`statement-${id}-2026-01-02-2026-01-31.csv`);
    const rows = parse<Record<string, string>>(csv.text, { columns: true });
    expect([rows[0]!.type, rows[0]!.balance, rows.at(-1)!.type, rows.at(-1)!.balance]).toEqual([
      'opening',
      '100.00',
      'closing',
      '158.00',
    ]);
    const column = (name: string) => rows.reduce((sum, row) => sum + (row[name] ? minor(row[name]) : 0n), 0n);
    expect(minor('100.00') + column('credit') - column('debit')).toBe(minor('158.00'));
    expect(rows.at(-2)).toMatchObject({ description: "'=1+1", reference: "'=1+1", debit: '2.00', credit: '' });
    expect(rows[1]!.description).toBe('a "b", 0');
    const pdf = await fetch(`${service.api.url}/v1/wallets/${id}/statement?${query}`, {
      headers: { accept: 'application/pdf' },
    });
    const file = Buffer.from(await pdf.arrayBuffer());
    expect(file.toString('latin1')).toMatch(/^%PDF-[^]*%%EOF\s*$/);
    expect(file.toString('latin1').match(/\/Type \/Page\n/g)).toHaveLength(2);
    const { error, stdout } = spawnSync('pdftotext', ['-layout', '-', '-'], { input: file });
    // Where poppler is installed, what the pages say is read too.
    if (!error) {
      expect(stdout.toString()).toMatch(
        /Opening balance +100\.00\n[^]*Page 1 of 2[^]*Total +90\.00 +32\.00\n[^]*Closing balance +158\.00\n[^]*Page 2 of 2/,
      );
    }
  });

  it.each([
    ['JPY', '1200', '1200'],
    ['INR', '0.05', '0.05'],
    ['KWD', '1.5', '1.500'],
    ['CLF', '0.0001', '0.0001'],
  ])('writes CSV amounts in %s with its decimals', async (currency, amount, cell) => {
    const { id } = await service.api.newWallet(undefined, { currency, minimum_balance: `-${amount}` });
    expectStatus(201, await service.api.debit(id, amount));
    expectStatus(201, await service.api.credit(id, amount));
    const { text } = await accept(id, 'text/csv');
    const rows = parse<Record<string, string>>(text, { columns: true });
    expect(rows.slice(1, 3)).toMatchObject([
      { type: 'debit', credit: '', debit: cell, balance: `-${cell}` },
      { type: 'credit', credit: cell, debit: '', balance: cell.replace(/[1-9]/g, '0').replace(/^0+(?=0)/, '') },
    ]);
  });

  it('writes every text into a CSV cell of its own, and none that a spreadsheet would run', async () => {
    const safe = ['plain', 'back\\slash', "it's", 'ends with "', '""', 'a,b', 'Grüße 🎉', '1=1', "'=1", '%s $1'];
    const formulas = ['=1', '+1', '-1', '@a', '＝1', '－1', ' =1', '\u00a0+1', '\u2003\ufeff@a', '="a,b"', '  -1'];
    const id = await walletPostedAt(
      [...safe, ...formulas].map((note) => ({ at: '2026-01-01T00:00:00.120Z', amount: 1, note })),
    );
    const rows = parse<Record<string, string>>((await accept(id, 'text/csv')).text, { columns: true });
    expect(rows.slice(1, -1).map(({ description }) => description)).toEqual([
      ...safe,
      ...formulas.map((text) => `'${text}`),
    ]);
    expect(rows[1]).toMatchObject({ posted_at: '2026-01-01T00:00:00.120Z', effective_at: '2026-01-01T00:00:00.120Z' });
  });

  it('says what is wrong with what it is asked', async () => {
    const { id } = await service.api.newWallet('1.00');
    for (const [query, field] of [
      ['balance?at=yesterday', 'at'],
      ['balance?basis=cash', 'basis'],
      ['summary?start_date=2026-02-01&end_date=2026-01-01', 'end_date'],
      ['summary?time_zone=Mars/Olympus', 'time_zone'],
      ['summary?interval=day&start_date=2020-01-01&end_date=2022-01-01', 'interval'],
      ['statement?start_date=2026-02-01&end_date=2026-01-01', 'end_date'],
      ['entries?created_from=2026-02-01T00:00:00Z&created_before=2026-01-01T00:00:00Z', 'created_before'],
      ['entries?effective_from=2026-02-01T00:00:00Z&effective_before=2026-02-01T00:00:00Z', 'effective_before'],
      ['entries?amount_min=2&amount_max=1', 'amount_max'],
      ['entries?direction=up', 'direction'],
      [`entries?cursor=${Buffer.from(`entries/${id}:0a`).toString('base64url')}`, 'cursor'],
    ] as const) {
      const { status, body } = await service.api.get<Problem>(`/v1/wallets/${id}/${query}`);
      expect([query, status, body.errors?.[0]?.field]).toEqual([query, 422, field]);
    }
    for (const type of ['image/png', 'application/json;q=0', 'text/csv;q=nonsense']) {
      expect((await accept(id, type)).body).toMatchObject({ status: 406, code: 'not_acceptable' });
    }
    const nobody = '0199a3c2-9b1e-7f3a-8c55-0d6b2f4e7a90';
    expect((await accept(nobody, 'text/csv')).body).toMatchObject({ code: 'wallet_not_found' });
  });

  it('filters entries by type, direction, amount, reference, and both times', async () => {
    const id = await walletPostedAt([
      { at: '2026-01-01T00:00:00Z', amount: 100 },
      { at: '2026-01-02T00:00:00Z', amount: -7, note: 'x' },
      { at: '2026-01-03T00:00:00Z', amount: 9, effective: '2026-01-01T12:00:00Z' },
    ]);
    const seqs = async (query: string) =>
      (await read<{ data: EntryBody[] }>(id, `entries?${query}`)).data.map(({ seq }) => seq);
    expect(await seqs('direction=credit')).toEqual([3, 1]);
    expect(await seqs('type=debit')).toEqual([2]);
    expect(await seqs('amount_min=7&amount_max=9')).toEqual([3, 2]);
    expect(await seqs('reference=x')).toEqual([2]);
    expect(await seqs('created_from=2026-01-02T00:00:00Z&created_before=2026-01-03T00:00:00Z')).toEqual([2]);
    expect(await seqs('effective_from=2026-01-01T00:00:00Z&effective_before=2026-01-02T00:00:00Z')).toEqual([3, 1]);
    const cursor = (await read<{ next_cursor: string }>(id, 'entries?effective_before=2026-01-02T00:00:00Z&limit=1'))
      .next_cursor;
    expect(await seqs(`effective_before=2026-01-02T00:00:00Z&cursor=${cursor}`)).toEqual([1]);
  });

  /** A statement of 200,000 lines, 28 MB, that is being answered. */
  const longStatement = ({ api }: Service, id: string) => {
    const call = request(`${api.url}/v1/wallets/${id}/statement`, { headers: { accept: 'text/csv' }, agent: false });
    call.end();
    return once(call, 'response') as Promise<[IncomingMessage]>;
  };
  let longWalletId: string;
  beforeAll(async () => {
    ({ id: longWalletId } = await service.api.newWallet());
    await fillWallet(service.database, longWalletId, 200_000);
  });

  it('goes on past the deadline of a request, as slowly as it is read, when it began in time', async () => {
    const hurried = await startService({ REQUEST_DEADLINE_MS: '1000' }, { quiet: true, database: service.database });
    const [answer] = await longStatement(hurried, longWalletId);
    let lines = 0;
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      // More is to come when the deadline passes, and its next look at the oldest.
      if (lines === 0) await delay(2_000);
      for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) lines++;
    }
    expect([answer.statusCode, answer.complete, lines]).toEqual([200, true, 200_003]);
    expect((await hurried.api.get('/health/live')).status).toBe(200);
    await hurried.stop();
  });

  it('streams 200,000 lines in constant memory, and cuts the connection where it cannot finish', async () => {
    const id = longWalletId;
    // Once before, as a new process takes its nursery into use for whatever it does first.
    const [before] = await longStatement(service, id);
    for await (const chunk of before) expect((chunk as Buffer).length).toBeGreaterThan(0);
    // Pages of 4 KiB; Linux alone tells them.
    const resident = () =>
      spawnSync('cat', [`/proc/${service.process.pid}/statm`])
        .stdout.toString()
        .split(' ')[1];
    const pages = resident();
    let [bytes, most, chunks] = [0, 0, 0];
    const [whole] = await longStatement(service, id);
    for await (const chunk of whole) {
      bytes += (chunk as Buffer).length;
      if (pages && ++chunks % 20 === 0) {
        most = Math.max(most, Number(resident()) - Number(pages));
      }
    }
    expect(bytes).toBeGreaterThan(20_000_000);
    if (pages) expect((most * 4) / 1024).toBeLessThanOrEqual(50);
    const [cut] = await longStatement(service, id);
    cut.once('data', () => cut.pause());
    await delay(300);
    await service.database.query('ALTER TABLE transactions RENAME TO gone');
    cut.resume();
    const ended = await Promise.race([once(cut, 'end').then(() => 'end'), once(cut, 'error').then(() => 'cut')]).catch(
      () => 'cut',
    );
    await service.database.query('ALTER TABLE gone RENAME TO transactions');
    expect(ended).toBe('cut');
  });
});
