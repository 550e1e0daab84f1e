/** R13: the disk is full. Money is refused with 503, reads are answered, and it recovers without a restart. */
import { expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chmodSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { startService, TestDatabase } from '../../test/support/service.js';
import { ClientLog } from '../client-log.js';
import { randomOf, report, skip } from '../stage.js';

const SIZE_MB = 96;

/** A disk of its own, which PostgreSQL's user may write to; nothing where mounting is not allowed. */
function smallDisk(owner: number): string | undefined {
  const folder = path.join(tmpdir(), `asper-disk-${randomUUID()}`);
  mkdirSync(folder);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE_MB}m`, 'tmpfs', folder], { stdio: 'ignore' });
  } catch {
    rmSync(folder, { recursive: true });
    return undefined;
  }
  const place = path.join(folder, 'space');
  mkdirSync(place);
  execFileSync('chown', [String(owner), place]);
  chmodSync(place, 0o700);
  return folder;
}

it('R13: the disk is full', async () => {
  const what = 'disk full';
  if (process.env.TEST_DATABASE_URL) return skip('R13', what, 'the server is not ours to fill');
  const database = await TestDatabase.create();
  const [{ data_directory }] = await database.query('SHOW data_directory');
  const folder = smallDisk(statSync(data_directory as string).uid);
  if (!folder) return skip('R13', what, 'mounting a tmpfs is not allowed here');
  const name = `small_${Date.now()}`;
  await database.query(`CREATE TABLESPACE ${name} LOCATION '${folder}/space'`);
  // Money lives on the small disk, the log does not: a full log ends PostgreSQL, and is another promise (R7).
  for (const table of ['entries', 'transactions', 'idempotency_keys', 'outbox', 'wallets'])
    await database.query(`ALTER TABLE ${table} SET TABLESPACE ${name}`);
  const service = await startService({}, { database, quiet: true });
  const wallets = await Promise.all(Array.from({ length: 20 }, () => service.api.newWallet('1000000.00')));
  const filler = path.join(folder, 'filler');
  try {
    execFileSync('sh', ['-c', `dd if=/dev/zero of=${filler} bs=1M status=none || true`], { stdio: 'ignore' });
  } catch {
    writeFileSync(filler, '');
  }
  const log = new ClientLog(
    wallets.map(({ id }) => id),
    randomOf('r13'),
    'r13',
  );
  log.start(16, () => service.api);
  const problems: string[] = [];
  const end = Date.now() + 30_000;
  while ((log.statuses.get(503) ?? 0) < 200 && Date.now() < end)
    await new Promise((resolve) => setTimeout(resolve, 50));
  const whileFull = log.acknowledged;
  const refused = log.statuses.get(503) ?? 0;
  if (refused < 200) problems.push(`only ${refused} × 503: the disk was not full`);
  for (const { id } of wallets) {
    const { status } = await service.api.get(`/v1/wallets/${id}`);
    if (status !== 200) problems.push(`a read was answered ${status}`);
  }
  rmSync(filler);
  const freedAt = performance.now();
  while (log.acknowledged < whileFull + 100 && performance.now() - freedAt < 30_000)
    await new Promise((resolve) => setTimeout(resolve, 10));
  const recovery = performance.now() - freedAt;
  await log.stop();
  const unknown = await log.resolve(service.api);
  problems.push(...(await log.problems(database)));
  report(
    'R13',
    what,
    `${refused} × 503 while full, reads 200, 100 done ${recovery.toFixed(0)} ms after space was freed, ${unknown} resolved`,
    problems,
  );
  await service.stop();
  for (const table of ['entries', 'transactions', 'idempotency_keys', 'outbox', 'wallets'])
    await database.query(`ALTER TABLE ${table} SET TABLESPACE pg_default`);
  for (const kind of ['INDEX'])
    await database.query(`ALTER ${kind} ALL IN TABLESPACE ${name} SET TABLESPACE pg_default`);
  await database.query(`DROP TABLESPACE ${name}`);
  await database.drop();
  execFileSync('umount', [folder]);
  rmSync(folder, { recursive: true });
  expect(problems).toEqual([]);
});
