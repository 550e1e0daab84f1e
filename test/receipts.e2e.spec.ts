/** Receipts: what a third party holds in hand, verified offline with the lines that docs/receipts.md gives them. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { readConfig } from '../src/config.js';
import { ReceiptKeys } from '../src/receipts/receipt.keys.js';
import { verifyJws, type PublicJwk } from '../src/receipts/jws.js';
import type { ReceiptKeysBody, SignedReceiptBody } from '../src/receipts/receipts.dto.js';
import { expectStatus, type Problem } from './support/client.js';
import { ImportBench } from './support/import-bench.js';
import { startService, type Service } from './support/service.js';

const TYPE = 'asper-receipt+jws';
const OTHER_SEED = Buffer.from(Array.from({ length: 32 }, (_, i) => i + 1)).toString('base64');
/** What `asper receipts new-key` prints: the key, and the public one. */
const NEW_KEY = /^RECEIPT_KEY=(\S+)\n# .*: (\S+)\n$/;
const run = promisify(execFile);

describe('receipts', () => {
  let service: Service;
  let folder: string;
  let walletId: string;
  let newKey: Awaited<ReturnType<typeof ImportBench.run>>;
  beforeAll(async () => {
    newKey = await ImportBench.run(['receipts', 'new-key'], {});
    const [, key] = NEW_KEY.exec(newKey.stdout)!;
    service = await startService({ RECEIPT_KEY: key! }, { quiet: true });
    folder = await mkdtemp(path.join(tmpdir(), 'asper-receipts-'));
    await chmod(folder, 0o755); // as root, the data folder belongs to another user, who must be able to enter
    const { api } = service;
    walletId = (await api.newWallet('500.00')).id;
    const metadata = { plan: 'gold', '10': 7, note: 'ünïcode “quoted” \\ /', rate: 0.1 };
    const notes = { description: 'Order 1042 – “chairs”', reference: 'order-1042', metadata };
    expectStatus(201, await api.debit(walletId, '150.05', { ...notes, effective_at: '2026-01-31T09:30:00+05:30' }));
    expectStatus(201, await api.debit(walletId, '0.05'));
  });
  afterAll(async () => {
    expect(await service.database.problems()).toEqual([]);
    await service.stop();
    await rm(folder, { recursive: true });
  });

  const receiptOf = async (seq: number, { api } = service) =>
    expectStatus(200, await api.get<SignedReceiptBody>(`/v1/wallets/${walletId}/entries/${seq}/receipt`));
  const keysOf = async ({ api } = service) =>
    expectStatus(200, await api.get<ReceiptKeysBody>('/v1/receipts/keys')).keys;

  it('names entry, transaction and place in the chain, and is signed with the published key', async () => {
    const [first, second] = [await receiptOf(1), await receiptOf(2)];
    expect(first.receipt.previous_hash).toBe('0'.repeat(64));
    expect(second.receipt).toMatchObject({
      form: 'asper.receipt.1',
      issuer: 'asper-wallet',
      ...{ wallet_id: walletId, seq: 2, currency: 'INR', amount: '-150.05', balance_after: '349.95' },
      transaction: { type: 'debit', amount: '150.05', effective_at: '2026-01-31T04:00:00.000Z' },
      previous_hash: first.receipt.hash,
    });
    expect(verifyJws(second.jws, TYPE, await keysOf())).toEqual(second.receipt);
    expect(JSON.parse(Buffer.from(second.jws.split('.')[0]!, 'base64url').toString())).toEqual({
      alg: 'EdDSA',
      typ: TYPE,
      kid: (await keysOf())[0]!.kid,
    });
  });

  it('is signed with the key that `asper receipts new-key` made', async () => {
    const [, key, x] = NEW_KEY.exec(newKey.stdout)!;
    expect([newKey.code, Buffer.from(key!, 'base64').length]).toEqual([0, 32]);
    expect((await keysOf())[0]!.x).toBe(x);
  });

  it('has its kid from RFC 7638, with that RFC 8037’s example to compare', async () => {
    const { publicJwk } = await import('../src/receipts/jws.js');
    expect(publicJwk('11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo').kid).toBe(
      'kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k',
    );
  });

  it('is no longer one when a character changes, the key is another, or the header asks for less', async () => {
    const { jws } = await receiptOf(2);
    const keys = await keysOf();
    const [header, payload, signature] = jws.split('.') as [string, string, string];
    const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const read = (part: string) => JSON.parse(Buffer.from(part, 'base64url').toString());
    const forged = encode({ ...read(payload), amount: '-150.04' });
    const unsigned = encode({ ...read(header), alg: 'none' });
    const otherType = encode({ ...read(header), typ: 'JWT' });
    for (const wrong of [
      ...[`${header}.${forged}.${signature}`, `${unsigned}.${payload}.`, `${unsigned}.${payload}.${signature}`],
      ...[`${otherType}.${payload}.${signature}`, `${header}.${payload}`, `${jws}.x`, 'x', ''],
    ]) {
      expect([wrong, verifyJws(wrong, TYPE, keys)]).toEqual([wrong, undefined]);
    }
    const other: PublicJwk = { ...keys[0]!, x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' };
    expect(verifyJws(jws, TYPE, [other])).toBeUndefined();
    expect(verifyJws(jws, TYPE, [])).toBeUndefined();
  });

  /** Runs the lines of a language in docs/receipts.md on receipt.json and keys.json in the folder. */
  async function verifyByTheBook(language: string, program: string): Promise<string> {
    const docs = await readFile('docs/receipts.md', 'utf8');
    const lines = new RegExp(`\`\`\`${language}\n(.*?)\n\`\`\``, 's').exec(docs)![1]!;
    const file = path.join(folder, language === 'python' ? 'verify.py' : 'verify.mjs');
    await writeFile(file, lines);
    return (await run(program, [file], { cwd: folder })).stdout;
  }

  const hasPython = () =>
    run('python3', ['-c', 'import cryptography']).then(
      () => true,
      () => false,
    );

  it.each(['js', 'python'])('are verified offline with the %s lines of docs/receipts.md', async (language) => {
    if (language === 'python' && !(await hasPython())) {
      return console.warn('left out: there is no python3 with the package cryptography');
    }
    const program = language === 'python' ? 'python3' : process.execPath;
    await writeFile(path.join(folder, 'keys.json'), JSON.stringify({ keys: await keysOf() }));
    for (const seq of [1, 2, 3]) {
      await writeFile(path.join(folder, 'receipt.json'), JSON.stringify(await receiptOf(seq)));
      expect(await verifyByTheBook(language, program)).toMatch(new RegExp(`^genuine: .*${walletId} seq ${seq}`));
    }
    const good = await receiptOf(2);
    const [header, payload, signature] = good.jws.split('.') as [string, string, string];
    const other = Buffer.from(Buffer.from(payload, 'base64url').toString().replace('150.05', '150.06'));
    const forged = { ...good, jws: `${header}.${other.toString('base64url')}.${signature}` };
    await writeFile(path.join(folder, 'receipt.json'), JSON.stringify(forged));
    await expect(verifyByTheBook(language, program)).rejects.toThrow();
  });

  it('still verify after the key was replaced, as the old one is published as retired', async () => {
    const { jws } = await receiptOf(2);
    const [old] = await keysOf();
    const env = { RECEIPT_KEY: OTHER_SEED, RECEIPT_KEYS_RETIRED: ` ${old!.x} , ` };
    const later = await startService(env, { database: service.database });
    try {
      const keys = await keysOf(later);
      expect(keys.map(({ kid }) => kid)).toEqual([expect.any(String), old!.kid]);
      expect(verifyJws(jws, TYPE, keys)).toBeDefined();
      const { jws: newer } = await receiptOf(2, later);
      expect(verifyJws(newer, TYPE, keys)).toBeDefined();
      expect(verifyJws(newer, TYPE, [old!])).toBeUndefined();
    } finally {
      await later.stop();
    }
  });

  it('are never made for a row that was changed by hand', async () => {
    const { api, database } = service;
    const set = (text: string) =>
      database.query(`UPDATE transactions SET description = '${text}' WHERE reference = 'order-1042'`);
    await database.query(`SET session_replication_role = 'replica'`);
    try {
      await set('Order 1043');
      const { body } = await api.get<Problem>(`/v1/wallets/${walletId}/entries/2/receipt`);
      expect(body.code).toBe('internal_error');
    } finally {
      await set('Order 1042 – “chairs”');
      await database.query(`SET session_replication_role = 'origin'`);
    }
  });

  it('name what is missing: the wallet, the entry, the number', async () => {
    const { api } = service;
    const codeOf = async (id: string, seq: string) =>
      (await api.get<Problem>(`/v1/wallets/${id}/entries/${seq}/receipt`)).body.code;
    expect(await codeOf('01890000-0000-7000-8000-00000000dead', '1')).toBe('wallet_not_found');
    expect(await codeOf(walletId, '99')).toBe('entry_not_found');
    for (const seq of ['0', '-1', '1.5', 'one', '99999999999999999999']) {
      expect([seq, await codeOf(walletId, seq)]).toEqual([seq, 'validation_failed']);
    }
  });

  it('are signed with a key that is made once and kept in the data folder, where none is set', async () => {
    const keptIn = { DATA_DIR: path.join(folder, 'data') };
    const two = await Promise.all([1, 2].map(() => startService(keptIn, { database: service.database })));
    try {
      const kids = (await Promise.all(two.map(keysOf))).map(([key]) => key!.kid);
      expect(kids[0]).toBe(kids[1]);
      const file = path.join(keptIn.DATA_DIR, 'receipt.key');
      expect((await stat(file)).mode & 0o777).toBe(0o600);
      expect(verifyJws((await receiptOf(1, two[0])).jws, TYPE, await keysOf(two[1]))).toBeDefined();
    } finally {
      await Promise.all(two.map((service) => service.stop()));
    }
  });
});

describe('receipts in production', () => {
  it('are not made without RECEIPT_KEY, but those of retired keys can be verified', async () => {
    const config = readConfig({ RECEIPT_KEYS_RETIRED: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' });
    const keys = new ReceiptKeys({ ...config, production: true });
    await expect(keys.privateKey()).rejects.toMatchObject({ code: 'receipts_not_configured', status: 501 });
    expect(await keys.publicKeys()).toMatchObject([{ kid: 'kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k' }]);
  });
});
