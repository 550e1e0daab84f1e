import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { AuditEntryBody } from '../src/audit/audit.dto.js';
import { expectStatus, type Problem } from './support/client.js';
import { startService, type Service } from './support/service.js';

type Log = { data: AuditEntryBody[]; next_cursor: string | null };

describe('the audit log', () => {
  let service: Service;
  beforeAll(async () => void (service = await startService()));
  afterEach(async () => expect(await service.database.problems()).toEqual([]));
  afterAll(() => service.stop());

  const api = () => service.api;
  const read = async (query: string) => expectStatus(200, await api().get<Log>(`/v1/audit-log?${query}`));

  it.each(['UPDATE audit_log SET reason = NULL', 'DELETE FROM audit_log', 'TRUNCATE audit_log'])(
    'refuses by itself: %s',
    async (sql) => {
      expectStatus(201, await api().setStatus((await api().newWallet()).id, 'freeze'));
      await expect(service.database.query(sql)).rejects.toThrow('append-only');
    },
  );

  it('is read in pages, latest first', async () => {
    const wallet = await api().newWallet();
    for (let i = 0; i < 25; i++) {
      expectStatus(201, await api().setStatus(wallet.id, i % 2 ? 'unfreeze' : 'freeze', { reason: `no. ${i}` }));
    }
    const reasons: Array<string | null> = [];
    let cursor = '';
    for (const size of [10, 10, 5]) {
      const page = await read(`object_id=${wallet.id}&limit=10${cursor}`);
      expect(page.data).toHaveLength(size);
      reasons.push(...page.data.map(({ reason }) => reason));
      if (size === 10) expectStatus(201, await api().setStatus((await api().newWallet()).id, 'freeze')); // disturbs nothing
      cursor = `&cursor=${page.next_cursor}`;
    }
    expect(cursor).toBe('&cursor=null');
    expect(reasons).toEqual(Array.from({ length: 25 }, (_, i) => `no. ${24 - i}`));
    expect((await read('')).data).toHaveLength(20);
  });

  it('is narrowed by each filter, over an index', async () => {
    await service.database.query(MANY_ACTS);
    await service.database.query('ANALYZE audit_log');
    const found = async (query: string) => {
      const { data, next_cursor } = await read(`limit=100&${query}`);
      return data.length + (next_cursor === null ? 0 : Infinity);
    };
    // Of 100,000 acts, one a minute since 2020, each 2,000th is a rare one.
    const day = 'created_from=2020-01-02T00:00:00Z&created_before=2020-01-03T00:00:00Z';
    expect(await found('actor=key:rare')).toBe(50);
    expect(await found('action=api_key.revoked')).toBe(50);
    expect(await found('object_type=api_key')).toBe(50);
    expect(await found('object_id=7')).toBe(20);
    expect(await found('object_id=7&actor=key:rare')).toBe(0);
    expect(await found(`actor=key:rare&${day}`)).toBe(1);
    expect(await found('created_from=2020-01-01T00:10:00Z&created_before=2020-01-01T00:20:00Z')).toBe(10);
    expect(await found('created_before=2020-01-01T00:01:00Z')).toBe(0);
    for (const [condition, index] of PLANS) {
      const plan = await service.database.query(
        `EXPLAIN SELECT * FROM audit_log WHERE ${condition} ORDER BY id DESC LIMIT 101`,
      );
      expect([condition, JSON.stringify(plan)]).toEqual([condition, expect.stringContaining(index)]);
      expect(JSON.stringify(plan)).not.toContain('Seq Scan');
    }
  });

  it('names the filter that is wrong', async () => {
    for (const [name, value] of [
      ['action', 'wallet.stolen'],
      ['object_type', 'person'],
      ['created_from', 'yesterday'],
      ['cursor', 'abc'],
      ['limit', '101'],
      ['who', 'operator'],
    ] as const) {
      const reply = await api().get<Problem>(`/v1/audit-log?${name}=${value}`);
      expect([reply.status, reply.body.errors?.[0]?.field]).toEqual([422, name]);
    }
  });
});

const MANY_ACTS = `
  INSERT INTO audit_log (id, actor, action, object_type, object_id, created_at)
  SELECT ('016f5e66-e800-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
         CASE WHEN n % 2000 = 0 THEN 'key:rare' ELSE 'key:' || n % 7 END,
         CASE WHEN n % 2000 = 0 THEN 'api_key.revoked' ELSE 'wallet.limited' END,
         CASE WHEN n % 2000 = 0 THEN 'api_key' ELSE 'wallet' END,
         (n % 5000)::text, timestamptz '2020-01-01 00:00:00Z' + n * interval '1 minute'
    FROM generate_series(1, 100000) n`;

const PLANS: Array<[condition: string, index: string]> = [
  [`actor = 'key:rare'`, 'audit_log_actor_idx'],
  [`action = 'api_key.revoked'`, 'audit_log_action_idx'],
  [`object_type = 'api_key'`, 'audit_log_object_type_idx'],
  [`object_id = '7'`, 'audit_log_object_idx'],
  [`created_at >= '2020-01-20' AND created_at < '2020-01-21'`, 'audit_log_created_at_idx'],
  [`created_at < '2020-01-02'`, 'audit_log_created_at_idx'],
  [`actor = 'key:1'`, 'audit_log_'],
  [`object_type = 'wallet'`, 'audit_log_'],
  [`created_at >= '2020-01-02'`, 'audit_log_'],
  [`id < '016f5e66-e800-7000-8000-000000001000'`, 'audit_log_pkey'],
];
