/** Scenario R3: every key is sent many times at once, to all processes; each must execute exactly once. */
import { randomUUID } from 'node:crypto';
import type { Service } from '../support/service.js';

/** @returns findings, one sentence each; none where every key had one outcome. */
export async function duplicates(services: Service[], { keys = 20, copies = 100 } = {}): Promise<string[]> {
  const findings: string[] = [];
  const { database } = services[0]!;
  const wallet = await services[0]!.api.newWallet('100000.00');
  for (let k = 0; k < keys; k++) {
    const key = `duplicate-${randomUUID()}`;
    const replies = await Promise.all(
      Array.from({ length: copies }, (_, i) =>
        services[i % services.length]!.api.debit(wallet.id, '1.00', { reference: key }, key),
      ),
    );
    const [{ n }] = await database.query('SELECT count(*)::int AS n FROM transactions WHERE reference = $1', [key]);
    if (n !== 1) findings.push(`key ${k} executed ${n} times`);
    const bodies = new Set(replies.filter(({ status }) => status === 201).map(({ text }) => text));
    if (bodies.size !== 1) findings.push(`key ${k} had ${bodies.size} different successes`);
    const firsts = replies.filter(({ status, headers }) => status === 201 && !headers.has('idempotency-replayed'));
    if (firsts.length !== 1) findings.push(`key ${k} had ${firsts.length} answers that are no replay`);
    const others = replies
      .filter(({ status }) => ![201, 409].includes(status))
      .map(({ status, text }) => `${status} ${text}`);
    if (others.length > 0) findings.push(`key ${k} was answered ${others[0]}`);
  }
  return findings;
}
