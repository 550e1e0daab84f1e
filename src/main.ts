/** Starts the service and stops it in order; nothing else. */
import { ConfigError, readConfig } from './config.js';
import { createApp } from './app.setup.js';
import { migrate } from './database/migrate.js';
import { EmbeddedDatabaseError } from './database/embedded.system.js';
import { openEmbedded, type EmbeddedDatabase } from './database/embedded.js';
import { isDatabaseError } from './database/sqlstate.js';

const say = (line: string) => console.log(line);
let embedded: EmbeddedDatabase | undefined;

try {
  const given = readConfig(process.env);
  if (!given.databaseUrl) embedded = await openEmbedded({ dataDir: given.dataDir, role: 'service', log: say });
  const config = { ...given, databaseUrl: embedded?.url ?? given.databaseUrl };
  await migrate(config);
  const app = await createApp(config);
  await app.listen(config.port, config.host);

  let stopping: Promise<void> | undefined;
  const stop = () =>
    (stopping ??= app
      .close()
      .finally(() => embedded?.stop())
      .then(() => process.exit(0)));
  process.once('SIGTERM', () => void stop());
  process.once('SIGINT', () => void stop());

  const url = await app.getUrl();
  say(`Asper Wallet listens on ${url} — try it in the browser: ${url}/docs`);
  if (config.auth === 'open')
    say('AUTH=open: everyone who reaches this address may move money. Made for trying it out.');
} catch (error) {
  await embedded?.stop();
  console.error(`Asper Wallet did not start. ${reason(error)}`);
  process.exit(1);
}

/** One sentence for what people meet, a stack for what they should report. */
function reason(error: unknown): string {
  const { code, message, stack, address, port } = error as NodeJS.ErrnoException & { address?: string; port?: number };
  if (code === 'EADDRINUSE') {
    return `Port ${port} on ${address} is taken by another program. Stop that one, or choose another: PORT=5001 npm start`;
  }
  if (code === 'EADDRNOTAVAIL' || code === 'EACCES') return `HOST and PORT cannot be listened on: ${message}`;
  if (error instanceof ConfigError) return `${message}\n.env.example explains every variable.`;
  if (error instanceof EmbeddedDatabaseError) return message;
  if (isDatabaseError(error)) return `The database of DATABASE_URL cannot be used: ${message || code}`;
  return stack ?? String(error);
}
