/** Starts the service, as one process or as several (`WORKERS`), and ends it in order; nothing else. */
import cluster from 'node:cluster';
import { readConfig, type Config } from './config.js';
import { migrate } from './database/migrate.js';
import { openEmbedded, type EmbeddedDatabase } from './database/embedded.js';
import type { Serving } from './serve.js';
import { whyNotStarted } from './start-failure.js';

const say = (line: string) => console.log(line);

// Loaded by need: a primary does without the application and takes 110 MB instead of 195.
if (cluster.isWorker) await import('./worker.js').then(({ work }) => work());
else await start();

async function start(): Promise<void> {
  let embedded: EmbeddedDatabase | undefined;
  try {
    const given = readConfig(process.env);
    if (!given.databaseUrl) embedded = await openEmbedded({ dataDir: given.dataDir, role: 'service', log: say });
    const onDatabase = { ...given, databaseUrl: embedded?.url ?? given.databaseUrl };
    const { databaseRole } = await migrate(onDatabase, say);
    const config = { ...onDatabase, databaseRole };
    const serving = await serveAsConfigured(config);

    let stopping: Promise<void> | undefined;
    const stop = () =>
      (stopping ??= serving
        .stop()
        .finally(() => embedded?.stop())
        .then(() => process.exit(0)));
    // Every signal, not only the first: a terminal's Ctrl-C reaches us a second time through npm, and would cut us off.
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void stop());

    const { url } = serving;
    say(`Asper Wallet listens on ${url} — try it in the browser: ${url}/docs`);
    if (config.auth === 'open')
      say('AUTH=open: everyone who reaches this address may move money. Made for trying it out.');
  } catch (error) {
    await embedded?.stop();
    console.error(`Asper Wallet did not start. ${whyNotStarted(error)}`);
    process.exit(1);
  }
}

async function serveAsConfigured(config: Config): Promise<Serving> {
  if (config.workers === 1) return import('./serve.js').then(({ serve }) => serve(config));
  return import('./cluster.js').then(({ serveByWorkers }) => serveByWorkers(config, say));
}
