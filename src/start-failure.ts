import { ConfigError } from './config.js';
import { EmbeddedDatabaseError } from './database/embedded.system.js';
import { MigrationRefused } from './database/migration-refused.js';
import { isDatabaseError } from './database/sqlstate.js';
import { TracingError } from './tracing/tracing.js';

/** The database's clock was put ahead, and the service is to run by the real time. */
export class ClockAhead extends Error {}

/** What a worker said before it ended, or how it ended; one sentence already. */
export class WorkerStartError extends Error {}

/** Why the service did not start: one sentence for what people meet, a stack for what they should report. */
export function whyNotStarted(error: unknown): string {
  const { code, message, stack, address, port } = error as NodeJS.ErrnoException & { address?: string; port?: number };
  if (code === 'EADDRINUSE') {
    return `Port ${port} on ${address} is taken by another program. Stop that one, or choose another: PORT=5001 npm start`;
  }
  if (code === 'EADDRNOTAVAIL' || code === 'EACCES') return `HOST and PORT cannot be listened on: ${message}`;
  if (error instanceof ConfigError) return `${message}\n.env.example explains every variable.`;
  const told = [EmbeddedDatabaseError, MigrationRefused, ClockAhead, WorkerStartError, TracingError];
  if (told.some((type) => error instanceof type)) return message;
  if (isDatabaseError(error)) return `The database of DATABASE_URL cannot be used: ${message || code}`;
  return stack ?? String(error);
}
