/** What an act needs beyond its route: the services themselves, called by callers who have less than an operator. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { AppModule } from '../src/app.module.js';
import { ROLES, type Scope } from '../src/auth/scopes.js';
import type { Caller } from '../src/caller.js';
import { readConfig } from '../src/config.js';
import type { Problem } from '../src/errors.js';
import { BatchService } from '../src/transactions/batch.service.js';
import { TransactionsService } from '../src/transactions/transactions.service.js';
import { UsersService } from '../src/users/users.service.js';
import { WalletsService } from '../src/wallets/wallets.service.js';
import { TestDatabase } from './support/service.js';

describe('without the scope for it', () => {
  let database: TestDatabase;
  let app: INestApplicationContext;
  beforeAll(async () => {
    database = await TestDatabase.create();
    const config = { ...readConfig({}), databaseUrl: database.url };
    app = await NestFactory.createApplicationContext(AppModule.with(config), { logger: false, abortOnError: false });
  });
  afterAll(async () => {
    await app.close();
    expect(await database.problems()).toEqual([]);
    await database.drop();
  });

  const caller = (...more: Scope[]): Caller => ({ scope: 'key:1', scopes: new Set([...ROLES.server, ...more]) });
  const refusalOf = (call: Promise<unknown>) =>
    call.then(
      () => undefined,
      ({ code, detail }: Problem) => [code, detail],
    );
  const lower = { amount: '1.00', minimum_balance: '49.99', reason: 'why' };

  async function open() {
    const { body: user } = await app
      .get(UsersService)
      .register({ phone_number: `+1415555${String(++users).padStart(4, '0')}` }, caller());
    const { body: wallet } = await app.get(WalletsService).open({ user_id: user.id, minimum_balance: '50' }, caller());
    await app.get(TransactionsService).credit(wallet.id, { amount: '100.00' }, caller());
    return { user, wallet };
  }
  let users = 0;

  it('no debit, original call or item of a batch lowers a minimum balance', async () => {
    const { wallet } = await open();
    const debit = app.get(TransactionsService);
    const refusal = [
      'minimum_balance_not_lowered',
      'The minimum balance of the wallet is 50.00 INR; to lower it takes wallets:admin and a reason.',
    ];
    expect(await refusalOf(debit.debit(wallet.id, lower, caller()))).toEqual(refusal);
    const classic = { amount: 1, minimum_balance: 49.99 };
    expect(await refusalOf(debit.debit(wallet.id, classic, caller(), false, 'the original call'))).toEqual(refusal);
    const batch = { atomic: false, items: [{ type: 'debit' as const, wallet_id: wallet.id, ...lower }] };
    const { body } = await app.get(BatchService).post(batch, caller(), false);
    expect(body.items.map(({ error }) => error?.code)).toEqual(['minimum_balance_not_lowered']);
    await debit.debit(wallet.id, { ...lower, minimum_balance: '50' }, caller()); // what it is
    await debit.debit(wallet.id, { ...lower, minimum_balance: '60' }, caller()); // a stricter check
    expect(await database.query('SELECT FROM audit_log')).toEqual([]);
    const { body: lowered } = await debit.debit(wallet.id, lower, caller('wallets:admin'));
    expect(await database.query('SELECT actor, reason, created_at FROM audit_log')).toEqual([
      { actor: 'key:1', reason: 'why', created_at: new Date(lowered.created_at) },
    ]);
  });

  it('no change lowers a minimum balance or touches the status of a user; the rest may be changed', async () => {
    const { user, wallet } = await open();
    const [wallets, people] = [app.get(WalletsService), app.get(UsersService)];
    const down = { minimum_balance: '49.99', reason: 'why' };
    expect(await refusalOf(wallets.change(wallet.id, down, caller('users:admin')))).toEqual([
      ...['insufficient_scope', 'Lowering a minimum balance needs the scope wallets:admin.'],
    ]);
    const suspend = { status: 'suspended' as const, reason: 'why' };
    expect(await refusalOf(people.change(user.id, suspend, caller('wallets:admin')))).toEqual([
      ...['insufficient_scope', 'Changing the status of a user needs the scope users:admin.'],
    ]);
    const acts = () => database.query('SELECT action FROM audit_log WHERE object_id = ANY($1)', [[user.id, wallet.id]]);
    expect(await acts()).toEqual([]);
    expect(await wallets.change(wallet.id, { minimum_balance: '60', label: 'rent' }, caller())).toMatchObject({
      ...{ minimumBalance: 6_000n, label: 'rent' },
    });
    expect(await people.change(user.id, { metadata: { a: 1 }, status: 'active' }, caller())).toMatchObject({
      ...{ status: 'active', metadata: { a: 1 } },
    });
    expect(await acts()).toEqual([]);
    await wallets.change(wallet.id, down, caller('wallets:admin'));
    await people.change(user.id, suspend, caller('users:admin'));
    expect(await acts()).toEqual([{ action: 'wallet.floor_lowered' }, { action: 'user.suspended' }]);
  });
});
