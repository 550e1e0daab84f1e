/** What Node runs. Everything is loaded by need: a primary does without the application and takes 86 MB, a worker 115. */
import './navigator.js';
import cluster from 'node:cluster';
import { surviveLostOutput } from './telemetry/say.js';

surviveLostOutput();

if (cluster.isWorker) await import('./worker.js').then(({ work }) => work());
else await import('./start.js').then(({ start }) => start());
