/** Loaded into a service before it starts (`grow-plans.ts`): writes the plans that PostgreSQL sends it into a file. */
import { appendFileSync } from 'node:fs';
import pg from 'pg';

const file = process.env.BENCH_PLANS!;
// oxlint-disable-next-line typescript/unbound-method
const connect = pg.Client.prototype.connect;

pg.Client.prototype.connect = function (this: pg.Client, ...args: Parameters<typeof connect>) {
  this.on('notice', ({ message }) => {
    if (message?.startsWith('duration:')) appendFileSync(file, `${message}\0`);
  });
  return connect.apply(this, args);
} as typeof connect;
