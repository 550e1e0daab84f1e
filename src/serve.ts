/** The application, listening: all of the service in one process, or what each worker of several does. */
import { createApp } from './app.setup.js';
import type { Config } from './config.js';
import { InFlight } from './in-flight.js';
import { returnStartupMemory } from './startup-memory.js';
import { startTracing, stopTracing } from './tracing/tracing.js';

export interface Serving {
  url: string;
  /** Serves on while others notice, then takes no further connections, answers the requests under way, and resolves when all of them have ended. */
  stop(): Promise<void>;
}

/**
 * Connections that the system takes while the process cannot, as after a pause or when all clients come back at once; Linux allows 4,096.
 * With Node's own 511 the others try again after 1 s, then 2, then 4: of 1,500 in a pause of 0.7 s the last was answered after 1.3 s
 * instead of 0.75 to 1.06.
 */
const CONNECTIONS_WAITING_MAX = 4_096;

export async function serve(config: Config): Promise<Serving> {
  await startTracing(config);
  const app = await createApp(config);
  await app.init();
  await app.listen({ port: config.port, host: config.host, backlog: CONNECTIONS_WAITING_MAX });
  returnStartupMemory();
  const stop = async () => {
    await app.get(InFlight).drain();
    await app.close();
    await stopTracing();
  };
  return { url: await app.getUrl(), stop };
}
