/** What a command works on: the database of the service, and the service itself without its HTTP server. */
import type { INestApplicationContext } from '@nestjs/common';
import { constants } from 'node:os';
import type { Config } from '../config.js';
import { openEmbedded } from '../database/embedded.js';
import { migrate } from '../database/migrate.js';

/**
 * Runs `work` on the database of DATABASE_URL, or on the embedded one: a running one is joined, otherwise it is
 * started for as long as `work` takes.
 */
export async function onDatabase<T>(
  config: Config,
  log: (line: string) => void,
  work: (config: Config) => Promise<T>,
): Promise<T> {
  if (config.databaseUrl) return work(config);
  const opening = openEmbedded({ dataDir: config.dataDir, role: 'command', log });
  // Whoever interrupts the command means its server as well; a command that ends in good order by itself listens on its own.
  const onSignal = (signal: NodeJS.Signals) => {
    if (process.listenerCount(signal) > 1) return;
    const end = () => process.exit(128 + constants.signals[signal]);
    void opening.then((embedded) => embedded.stop()).then(end, end);
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  try {
    const embedded = await opening;
    try {
      return await work({ ...config, databaseUrl: embedded.url });
    } finally {
      await embedded.stop();
    }
  } finally {
    for (const signal of SIGNALS) process.off(signal, onSignal);
  }
}

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

/** As {@link onDatabase}, with the schema up to date. */
export function withDatabase<T>(
  config: Config,
  log: (line: string) => void,
  work: (config: Config, migrations: string[]) => Promise<T>,
): Promise<T> {
  return onDatabase(config, log, async (found) => {
    const { migrations, databaseRole } = await migrate(found, log);
    return work({ ...found, databaseRole }, migrations);
  });
}

/** Runs `work` with the services of the application, wired as in `npm start` and listening nowhere. */
export async function withService<T>(
  config: Config,
  work: (service: INestApplicationContext) => Promise<T>,
): Promise<T> {
  // Loaded by need: commands that only read the database start in half the time without them.
  const { NestFactory } = await import('@nestjs/core');
  const { AppModule } = await import('../app.module.js');
  const { TextLogger } = await import('../telemetry/log.js');
  // The command's own output is what a person reads; what went wrong reaches them as its outcome.
  const quiet = config.logLevel === 'debug' ? config : { ...config, logLevel: 'error' as const };
  const service = await NestFactory.createApplicationContext(AppModule.with(config), {
    logger: new TextLogger(quiet),
    abortOnError: false,
  });
  try {
    return await work(service);
  } finally {
    await service.close();
  }
}
