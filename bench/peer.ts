/**
 * The third reference: the debit route as most teams write it. Nest, Fastify, class-validator and TypeORM as in the
 * service; one database transaction per request: find the key, lock both wallets, save() them, insert the event,
 * the transaction, its entries and the key. Same schema with the same triggers, in a database of its own.
 *
 * Generous where it is debatable: the external wallet is one of 256 at random, so requests do not queue behind one
 * row, and wallets are locked in id order, so they do not deadlock.
 */
import { Body, Controller, Inject, Module, Param, Post } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { TypeOrmModule } from '@nestjs/typeorm';
import { randomInt } from 'node:crypto';
import { DataSource, In, type QueryRunner } from 'typeorm';
import { v7 as uuidv7 } from 'uuid';
import { databaseOptions } from '../ormconfig.js';
import { CurrentCaller, type Caller } from '../src/caller.js';
import { readConfig } from '../src/config.js';
import { ProblemFilter } from '../src/error.filter.js';
import { Problem } from '../src/errors.js';
import { Outbox } from '../src/events/outbox.service.js';
import { IdempotencyKey } from '../src/idempotency/idempotency-key.entity.js';
import { fingerprintOf } from '../src/idempotency/idempotency.service.js';
import { parseAmount } from '../src/money.js';
import { CHAIN_START, entryHash, transactionDigest } from '../src/transactions/entry.hash.js';
import { Entry, Transaction } from '../src/transactions/transaction.entity.js';
import { DebitDto, transactionBody } from '../src/transactions/transactions.dto.js';
import { StrictValidationPipe } from '../src/validation.pipe.js';
import { externalWalletId } from '../src/wallets/external-wallets.js';
import { Wallet } from '../src/wallets/wallet.entity.js';
import { WalletIdParam } from '../src/wallets/wallets.dto.js';
import { PEER_STRIPES } from './wallets.js';

const outbox = new Outbox();

@Controller('v1')
class PeerController {
  constructor(@Inject(DataSource) private readonly dataSource: DataSource) {}

  @Post('wallets/:wallet_id/debits')
  async debit(@Param() { wallet_id }: WalletIdParam, @Body() dto: DebitDto, @CurrentCaller() caller: Caller) {
    const runner = this.dataSource.createQueryRunner();
    await runner.connect();
    await runner.startTransaction();
    try {
      const body = await post(runner, wallet_id, dto, caller);
      await runner.commitTransaction();
      return body;
    } catch (error) {
      await runner.rollbackTransaction();
      throw error;
    } finally {
      await runner.release();
    }
  }
}

async function post(runner: QueryRunner, walletId: string, dto: DebitDto, { scope, idempotencyKey: key }: Caller) {
  const { manager } = runner;
  const known = await manager.findOneBy(IdempotencyKey, { scope, key });
  if (known) throw new Problem('idempotency_key_reused', 'This key was used before.');
  const wallets = await manager.find(Wallet, {
    where: { id: In([walletId, externalWalletId('INR', randomInt(PEER_STRIPES))]) },
    order: { id: 'ASC' },
    lock: { mode: 'pessimistic_write' },
  });
  const wallet = wallets.find(({ id }) => id === walletId);
  const external = wallets.find(({ kind }) => kind === 'external');
  if (!wallet || !external) throw new Problem('wallet_not_found', `There is no wallet ${walletId}.`);
  const amount = parseAmount(dto.amount, wallet.currency);
  if (wallet.balance - wallet.held - amount < wallet.minimumBalance) {
    throw new Problem('insufficient_funds', 'There is not enough money.');
  }
  wallet.balance -= amount;
  external.balance += amount;
  external.credited += amount;
  wallet.entryCount += 1;
  external.entryCount += 1;

  const { currency } = wallet;
  const now = new Date();
  const id = uuidv7();
  const row = {
    id,
    type: 'debit' as const,
    currency,
    actor: scope,
    holdId: null,
    reason: null,
    effectiveAt: now,
    createdAt: now,
    reversesId: null,
  };
  const notes = { description: dto.description ?? null, reference: dto.reference ?? null, metadata: null };
  const digest = transactionDigest({ ...row, ...notes, amountMinor: amount });
  const entries = [wallet, external].map((of, leg) => {
    const signed = leg === 0 ? -amount : amount;
    const [seq, balanceAfterMinor] = [of.entryCount, of.balance];
    const hash = entryHash(of.lastHash?.toString('hex') ?? CHAIN_START, digest, {
      ...{ walletId: of.id, seq, leg, amountMinor: signed, balanceAfterMinor },
    });
    of.lastHash = Buffer.from(hash, 'hex');
    const [balanceAfter, creditedAfter] = [of.balance, of.credited];
    return {
      walletId: of.id,
      seq,
      transactionId: id,
      leg,
      amount: signed,
      balanceAfter,
      creditedAfter,
      hash: of.lastHash,
      createdAt: now,
    };
  });
  await manager.save([wallet, external]);
  const subject = { id: walletId, version: wallet.version, balanceMinor: wallet.balance, heldMinor: wallet.held };
  await outbox.record(runner, [{ type: 'transaction.posted', objectId: id, subjects: [subject] }], now);
  await manager.insert(Transaction, { ...row, ...notes, amount });
  await manager.insert(Entry, entries);
  const fingerprint = Buffer.from(fingerprintOf(['debit', walletId, amount]), 'hex');
  await manager.insert(IdempotencyKey, { scope, key, fingerprint, statusCode: 201, transactionId: id, createdAt: now });
  const posted = entries.map((e) => ({ ...e, currency, amountMinor: e.amount, balanceAfterMinor: e.balanceAfter }));
  return transactionBody({ ...row, ...notes, amountMinor: amount, entries: posted });
}

const config = readConfig(process.env);

@Module({ imports: [TypeOrmModule.forRoot(databaseOptions(config))], controllers: [PeerController] })
class PeerModule {}

const app = await NestFactory.create<NestFastifyApplication>(PeerModule, new FastifyAdapter(), { logger: ['error'] });
app.useGlobalPipes(new StrictValidationPipe());
app.useGlobalFilters(new ProblemFilter());
await app.listen(config.port, config.host);
process.once('SIGTERM', () => void app.close().then(() => process.exit(0)));
console.log(`the peer listens on ${await app.getUrl()}`);
