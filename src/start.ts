/** Starts the service, as one process or as several (`WORKERS`), and ends it in order; nothing else. */
import { readConfig, type Config } from './config.js';
import { migrate } from './database/migrate.js';
import { openEmbedded, type EmbeddedDatabase } from './database/embedded.js';
import type { Serving } from './serve.js';
import { whyNotStarted } from './start-failure.js';
import { isLogJson, sayJson } from './telemetry/say.js';

const say = isLogJson(process.env) ? sayJson : (line: string) => console.log(line);

/** Starts, says where it listens, and ends the process in order on a signal; with 1, and the reason on stderr, where it cannot start. */
export async function start(): Promise<void> {
  let embedded: EmbeddedDatabase | undefined;
  const starting = open((database) => (embedded = database));
  let stopping: Promise<void> | undefined;
  // A start is ended in order as well: cut off, it would leave its PostgreSQL running.
  const stop = async () => {
    const serving = await starting.catch(() => undefined); // why it did not start is told below
    if (!serving) return;
    try {
      try {
        await serving.stop();
      } finally {
        await embedded?.stop();
      }
      process.exit(0);
    } catch (error) {
      console.error(`Asper Wallet did not stop in order. ${(error as Error).stack}`);
      process.exit(1);
    }
  };
  // Every signal, not only the first: a terminal's Ctrl-C reaches us a second time through npm, and would cut us off.
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void (stopping ??= stop()));
  try {
    const { url, config } = await starting;
    if (stopping) return;
    say(`Asper Wallet listens on ${url}${config.docs ? ` — try it in the browser: ${url}/docs` : ''}`);
    if (config.auth === 'open')
      say('AUTH=open: everyone who reaches this address may move money. Made for trying it out.');
  } catch (error) {
    await embedded?.stop();
    console.error(`Asper Wallet did not start. ${whyNotStarted(error)}`);
    process.exit(1);
  }
}

/** Opens the database, brings its schema up to date, and serves. */
async function open(onEmbedded: (database: EmbeddedDatabase) => void): Promise<Serving & { config: Config }> {
  const given = readConfig(process.env);
  const opening = given.databaseUrl ? undefined : openEmbedded({ dataDir: given.dataDir, role: 'service', log: say });
  opening?.catch(() => undefined); // told of when it is awaited
  // A third of a start is loading the application: PostgreSQL starts meanwhile. Not beside a connection, whose time would run out.
  const serve = await loadApplication(given);
  const embedded = await opening;
  if (embedded) onEmbedded(embedded);
  const onDatabase = { ...given, databaseUrl: embedded?.url ?? given.databaseUrl };
  const { databaseRole } = await migrate(onDatabase, say);
  const config = { ...onDatabase, databaseRole };
  const serving = await serve(config);
  return { url: serving.url, stop: () => serving.stop(), config };
}

async function loadApplication({ workers }: Config): Promise<(config: Config) => Promise<Serving>> {
  if (workers === 1) return (await import('./serve.js')).serve;
  const { serveByWorkers } = await import('./cluster.js');
  return (config) => serveByWorkers(config, say);
}
