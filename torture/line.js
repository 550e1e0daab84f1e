/**
 * A line to PostgreSQL that is slow, in a process of its own: whoever makes the load of R12 is busy, and packets that waited for
 * him would be a slower database the more is asked. Tells its parent its port; a number from it is how late each packet is, in ms.
 */
import { connect, createServer } from 'node:net';
import { setTimeout } from 'node:timers';

const { hostname, port } = new URL(process.argv[2]);
let lateMs = 0;
process.on('message', (ms) => (lateMs = ms));
process.on('disconnect', () => process.exit());

// Timers of one length fire in order, and so do packets; where the length changes, some may overtake, so nothing is sent then.
const carry = (from, to) => {
  from.on('data', (chunk) => (lateMs === 0 ? to.write(chunk) : setTimeout(() => to.write(chunk), lateMs)));
  from.on('close', () => to.destroy());
  from.on('error', () => undefined);
};
const server = createServer({ noDelay: true }, (client) => {
  const upstream = connect({ port: Number(port), host: hostname, noDelay: true });
  carry(client, upstream);
  carry(upstream, client);
});
server.listen(0, '127.0.0.1', () => process.send(server.address().port));
