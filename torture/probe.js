/** Asks for an address ten times a second, and tells its parent how many milliseconds each answer took. */
import { get } from 'node:http';
import { performance } from 'node:perf_hooks';
import { clearInterval, setInterval } from 'node:timers';

const ask = () => {
  const startedAt = performance.now();
  get(process.argv[2], (response) => {
    response.resume().on('end', () => process.connected && process.send(performance.now() - startedAt));
  }).on('error', () => process.connected && process.send(Infinity));
};
const timer = setInterval(ask, 100);
process.on('disconnect', () => clearInterval(timer));
